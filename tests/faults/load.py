"""A load of librdkafka on a broker that is killed under it, for `tests/faults/network`.

    load.py ADDRESS plain NAME           an idempotent producer
    load.py ADDRESS transactions NAME    transactions, one of four aborted
    load.py ADDRESS abandoned NAME       one transaction that is left open by a producer that dies

It stops at the end of its standard input, when all that it began has ended, and says `done`. Before that it says

    acked PARTITION NUMBER OFFSET                       a record was acknowledged
    failed ...                                          it was not, although a producer that goes on may not fail
    committed NUMBER | aborted NUMBER | unknown NUMBER  how a transaction ended
"""

import os
import sys
import threading
import time

from confluent_kafka import KafkaException, Producer

PARTITIONS, RECORDS, UNDER_WAY = 4, 12, 20
PAUSE = 0.02
STOP = threading.Event()


def say(*words):
    print(*words, flush=True)


def producer(address, **settings):
    common = {
        "bootstrap.servers": address,
        "enable.idempotence": True,
        "linger.ms": 1,
        "message.timeout.ms": 120_000,
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 200,
        "log_level": 0,
        "error_cb": lambda error: say("failed", error) if error.fatal() else None,
    }
    return Producer({**common, **settings})


def plain(address, name):
    to = producer(address)

    def told(number):
        def tell(error, message):
            if error is not None:
                say("failed", error)
            else:
                say("acked", message.partition(), number, message.offset())

        return tell

    number = 0
    while not STOP.is_set():
        for _ in range(UNDER_WAY):
            for partition in range(PARTITIONS):
                to.produce("plain", f"{name} {number}", partition=partition, on_delivery=told(number))
            number += 1
        # Some are under way at any time, but no more than what can be checked afterwards.
        while len(to) > PARTITIONS * UNDER_WAY:
            to.poll(0.05)
        to.poll(PAUSE)
    if to.flush(60) != 0:
        say("failed: not all was sent in time")


def transactions(address, name):
    settings = {"transactional.id": name, "transaction.timeout.ms": 20_000, "message.timeout.ms": 20_000}
    to = begun(address, settings)
    number = 0
    while not STOP.is_set():
        wants = number % 4 != 3
        try:
            to.begin_transaction()
            for n in range(RECORDS):
                to.produce("transactions", f"{name} {number} {n}", partition=n % PARTITIONS)
            tried(to.commit_transaction if wants else to.abort_transaction)
            say("committed" if wants else "aborted", number)
        except KafkaException as problem:
            error = problem.args[0]
            if error.txn_requires_abort():
                try:
                    tried(to.abort_transaction)
                    say("aborted", number, error.name())
                except KafkaException as worse:
                    say("unknown", number, worse.args[0].name())
                    to = begun(address, settings)
            else:
                say("unknown", number, error.name())
                to = begun(address, settings)
        number += 1
        time.sleep(PAUSE)


def begun(address, settings):
    to = producer(address, **settings, error_cb=lambda _: None)
    tried(lambda: to.init_transactions(10))
    return to


def tried(ask):
    """What the client says may be tried again is."""
    until = time.monotonic() + 60
    while True:
        try:
            return ask()
        except KafkaException as problem:
            if not problem.args[0].retriable() or time.monotonic() > until:
                raise


def abandoned(address, name):
    to = producer(address, **{"transactional.id": name, "transaction.timeout.ms": 3000, "message.timeout.ms": 3000})
    tried(lambda: to.init_transactions(10))
    to.begin_transaction()
    for n in range(RECORDS):
        to.produce("transactions", f"{name} 0 {n}", partition=n % PARTITIONS)
    say("unsent" if to.flush(10) else "aborted 0")
    os._exit(0)  # as if it had been killed


def main():
    address, kind, name = sys.argv[1:]

    def wait():
        sys.stdin.read()
        STOP.set()

    threading.Thread(target=wait, daemon=True).start()
    {"plain": plain, "transactions": transactions, "abandoned": abandoned}[kind](address, name)
    say("done")


if __name__ == "__main__":
    main()

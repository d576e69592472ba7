"""The suites, in the order in which they run.

A suite is a module with `prepare(run)`, which fetches and builds, and `tests(run, only)`, which gives the results of
the tests named in `only`, or of all when it is None. Both raise `Unavailable` when the machine lacks something.
"""

from . import java, kafka_python, kcat, librdkafka, rdkafka, smoke

SUITES = {
    "kcat": kcat,
    "confluent-kafka": smoke.Confluent(),
    "aiokafka": smoke.Aiokafka(),
    "kafka-python": kafka_python,
    "rdkafka": rdkafka,
    "librdkafka": librdkafka.Suite(),
    "librdkafka, no auto-creation": librdkafka.Suite(
        scenario="noautocreate", settings={"auto.create.topics.enable": "false"}
    ),
    "librdkafka, consumer protocol": librdkafka.Suite("consumer"),
    "java client": java.Client(),
    "java tools": java.Tools(),
}

#: What `--short` runs: what needs no compiler and takes a few minutes. Of librdkafka's tests it would run a part.
IN_SHORT = ("kcat", "confluent-kafka", "aiokafka", "kafka-python")

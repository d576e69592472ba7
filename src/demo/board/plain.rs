//! The board as lines, for when there is no terminal.

use super::Board;
use crate::demo::model::{WINDOW, new_york};
use crate::output::grouped;
use tailwater_log::Timestamp;

/// One line for the six hours before `end`.
pub(crate) fn six_hours(board: &Board, end: Timestamp) -> String {
    let from = end - WINDOW * 6;
    let rows = board.rows.values().filter(|row| from <= row.hour && row.hour < end);
    let (departed, cancelled) = rows.fold((0, 0), |(d, c), row| (d + row.departed, c + row.cancelled));
    format!(
        "{:<16}  departed {departed:>4}   cancelled {cancelled:>4}   late {:>4}   alerts {:>3}   {:>6} of {} events",
        new_york(end),
        board.late.len(),
        board.alerts.len(),
        grouped(board.progress.loaded as u64),
        grouped(board.progress.total as u64),
    )
}

#[cfg(test)]
mod tests {
    use crate::demo::board::tests::stormy;
    use crate::demo::model::WINDOW;

    #[test]
    fn a_line_counts_the_six_hours_before_it() {
        let board = stormy();
        let line = super::six_hours(&board, board.hour() + WINDOW);
        // Six hours of two origins: departed 3·(0+…+5)·2, cancelled (40·6 − 2·15)·2.
        assert_eq!(
            line,
            "Fri 8 Feb 17:00   departed   90   cancelled  420   late    0   alerts   1    4,321 of 11,709 events"
        );
    }
}

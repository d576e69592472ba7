//! The terminal under the board: alternate screen, raw keys, and the way back on every exit.
//!
//! `ratatui` restores the terminal when the program panics; dropping a [`Terminal`] restores it otherwise.

use crate::cli::{Error, Result};
use crate::demo::board::{Board, draw};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use std::time::Duration;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Pause,
    Faster,
    Slower,
    Leave,
}

/// A terminal that shows the board.
pub(crate) struct Terminal(DefaultTerminal);

impl Terminal {
    pub(crate) fn open() -> Result<Self> {
        ratatui::try_init().map(Self).map_err(failed)
    }

    pub(crate) fn draw(&mut self, board: &Board) -> Result<()> {
        self.0.draw(|frame| draw(frame, board)).map(|_| ()).map_err(failed)
    }

    /// The keys that were pressed since the last call. In raw mode Ctrl-C is one of them.
    pub(crate) fn keys(&mut self) -> Result<Vec<Key>> {
        let mut keys = Vec::new();
        while event::poll(Duration::ZERO).map_err(failed)? {
            if let Event::Key(key) = event::read().map_err(failed)?
                && key.kind == KeyEventKind::Press
            {
                keys.extend(meaning(key.code, key.modifiers));
            }
        }
        Ok(keys)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn meaning(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
    Some(match code {
        KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Key::Leave,
        KeyCode::Char('q') | KeyCode::Esc => Key::Leave,
        KeyCode::Char(' ') => Key::Pause,
        KeyCode::Char('f' | '+') | KeyCode::Right => Key::Faster,
        KeyCode::Char('s' | '-') | KeyCode::Left => Key::Slower,
        _ => return None,
    })
}

fn failed(error: std::io::Error) -> Error {
    Error::Output { why: format!("the terminal: {error}") }
}

//! The line that is being typed, as it stands on the terminal.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// What was drawn last: a prompt, the line, and the cursor in it.
#[derive(Debug, Default)]
pub(super) struct Line {
    drawn: bool,
    prompt: String,
    /// The prompt with its colour.
    painted: String,
    text: String,
    /// Where the cursor is, in bytes of `text`.
    position: usize,
}

/// A row and a column, from where the prompt begins.
type Place = (usize, usize);

impl Line {
    pub(super) fn draw_prompt(&mut self, prompt: &str, painted: &str) {
        prompt.clone_into(&mut self.prompt);
        painted.clone_into(&mut self.painted);
    }

    pub(super) fn draw(&mut self, text: &str, position: usize) {
        text.clone_into(&mut self.text);
        self.position = position;
        self.drawn = true;
    }

    /// It is not typed any more; what is shown now stands below it.
    pub(super) fn leave(&mut self) {
        self.drawn = false;
    }

    /// What shows some lines above this one: it is removed, and drawn anew below them.
    pub(super) fn with_above(&self, lines: &str, columns: usize) -> String {
        let ended = if lines.ends_with('\n') { "" } else { "\n" };
        if !self.drawn {
            return format!("{lines}{ended}");
        }
        let Self { prompt, painted, text, position, .. } = self;
        let cursor = place(prompt.chars().chain(text.get(..*position).unwrap_or(text).chars()), columns);
        let end = place(prompt.chars().chain(text.chars()), columns);
        let mut out = String::new();
        if cursor.0 > 0 {
            let _ = write!(out, "\x1b[{}A", cursor.0);
        }
        let _ = write!(out, "\r\x1b[J{lines}{ended}{painted}{text}");
        // A terminal goes to the next row only with the next character.
        if end.1 == 0 && end.0 > 0 && !text.ends_with('\n') {
            out.push('\n');
        }
        if end.0 > cursor.0 {
            let _ = write!(out, "\x1b[{}A", end.0 - cursor.0);
        }
        out.push('\r');
        if cursor.1 > 0 {
            let _ = write!(out, "\x1b[{}C", cursor.1);
        }
        out
    }
}

/// How far apart the stops of tabs are.
const TAB: usize = 8;

/// Where the cursor is behind these characters. A wide one is not cut by the edge.
fn place(characters: impl Iterator<Item = char>, columns: usize) -> Place {
    let (mut row, mut column) = (0, 0);
    for character in characters {
        let width = match character {
            '\n' => {
                (row, column) = (row + 1, 0);
                continue;
            }
            '\t' => TAB - column % TAB,
            character => character.width().unwrap_or(0),
        };
        column += width;
        if column > columns {
            (row, column) = (row + 1, width);
        }
    }
    if column == columns { (row + 1, 0) } else { (row, column) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_where_a_terminal_has_it() {
        for (text, at) in [
            ("", (0, 0)),
            ("abc", (0, 3)),
            ("abcdefghij", (1, 0)),
            ("abcdefghijk", (1, 1)),
            ("abcdefghi世", (1, 2)),
            ("世世世世世", (1, 0)),
            ("e\u{301}", (0, 1)),
            ("a\nb", (1, 1)),
            ("a\tb", (0, 9)),
        ] {
            assert_eq!(place(text.chars(), 10), at, "{text:?}");
        }
    }

    #[test]
    fn lines_are_shown_above_what_is_typed() {
        let mut line = Line::default();
        assert_eq!(line.with_above("one", 10), "one\n");
        line.draw_prompt("> ", "*> ");
        line.draw("ab", 1);
        assert_eq!(line.with_above("one\n", 10), "\r\x1b[Jone\n*> ab\r\x1b[3C");
        line.draw("abcdefghijkl", 12);
        assert_eq!(line.with_above("one\n", 10), "\x1b[1A\r\x1b[Jone\n*> abcdefghijkl\r\x1b[4C");
        line.draw("abcdefghijkl", 0);
        assert_eq!(line.with_above("one\n", 10), "\r\x1b[Jone\n*> abcdefghijkl\x1b[1A\r\x1b[2C");
        line.draw("abcdefgh", 8);
        assert_eq!(line.with_above("one\n", 10), "\x1b[1A\r\x1b[Jone\n*> abcdefgh\n\r");
        line.leave();
        assert_eq!(line.with_above("two\n", 10), "two\n");
    }
}

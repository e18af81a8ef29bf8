//! Tables that fit the terminal: 80 columns, or as wide as it says it is.

use crate::output::{Look, line, safe};
use std::fmt::Display;
use std::io::IsTerminal as _;
use unicode_width::UnicodeWidthStr as _;

/// Columns of a terminal that does not say how wide it is, and of a pipe.
const USUAL: usize = 80;
/// A column is not made narrower than that.
const LEAST: usize = 8;
const GAP: usize = 2;

/// How a column gives way in a table that is too wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// Nothing: ids and names, which are copied.
    Whole,
    /// Its texts are cut off.
    Shrinks,
    /// The column is left out, the last first; `--json` has it.
    Spare,
}

/// A cell, and how it looks.
pub type Cell = (String, Look);

/// A column: its title, how it gives way, and its cell of a row.
pub type Column<'a, T> = (&'a str, Fit, &'a dyn Fn(&T) -> Cell);

/// A cell like most: on one line, at most 40 characters.
pub fn cell(text: impl Display) -> Cell {
    (line(&text.to_string(), 40), Look::Plain)
}

/// A cell that is never cut.
pub fn whole(text: impl Display) -> Cell {
    (safe(&text.to_string()), Look::Plain)
}

pub fn table<T>(rows: &[T], columns: &[Column<'_, T>]) -> String {
    let head: Vec<_> = columns.iter().map(|(title, fit, _)| (*title, *fit)).collect();
    let cells = |row: &T| columns.iter().map(|(.., cell)| cell(row)).collect();
    fitted(&head, &rows.iter().map(cells).collect::<Vec<_>>(), width())
}

/// Labelled texts below a head, a line each; labels without a text are left out. Further
/// lines of a text are indented. All must be safe to print.
pub fn details(head: String, rows: &[(&str, Option<String>)]) -> String {
    let line = |(label, text): &(&str, Option<String>)| {
        let text = text.as_ref()?.replace('\n', &format!("\n{:13}", ""));
        Some(format!("  {label:<10} {text}"))
    };
    let lines = rows.iter().filter_map(line);
    std::iter::once(head).chain(lines).collect::<Vec<_>>().join("\n")
}

/// `COLUMNS`, else what the terminal says.
fn width() -> usize {
    let asked = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let real = || {
        let terminal = std::io::stdout();
        let size = terminal.is_terminal().then(|| rustix::termios::tcgetwinsize(&terminal));
        size.and_then(Result::ok).map(|size| usize::from(size.ws_col))
    };
    asked.or_else(real).filter(|width| *width > 0).unwrap_or(USUAL)
}

fn fitted(head: &[(&str, Fit)], rows: &[Vec<Cell>], most: usize) -> String {
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|(text, _)| text.width());
        cells.chain(head.get(at).map(|(title, _)| title.width())).max().unwrap_or(0)
    };
    let mut columns: Vec<(usize, Fit, usize)> =
        head.iter().enumerate().map(|(at, (_, fit))| (at, *fit, widest(at))).collect();
    let least = |(_, fit, width): &(usize, Fit, usize)| match fit {
        Fit::Shrinks => (*width).min(LEAST),
        Fit::Whole | Fit::Spare => *width,
    };
    while sum(columns.iter().map(least)) > most
        && let Some(spare) = columns.iter().rposition(|(_, fit, _)| *fit == Fit::Spare)
    {
        columns.remove(spare);
    }
    while sum(columns.iter().map(|(.., width)| *width)) > most {
        let shrinks =
            |(_, fit, width): &&mut (usize, Fit, usize)| *fit == Fit::Shrinks && *width > LEAST;
        let Some((.., width)) = columns.iter_mut().filter(shrinks).max_by_key(|(.., width)| *width)
        else {
            break;
        };
        *width -= 1;
    }
    let titles: Vec<_> = head.iter().map(|(title, _)| ((*title).to_owned(), Look::Dim)).collect();
    let line = |row: &Vec<Cell>| {
        let mut text = String::new();
        for (at, _, width) in &columns {
            let Some((word, look)) = row.get(*at) else { continue };
            let word = cut(word, *width);
            text.push_str(&look.paint(&word));
            text.push_str(&" ".repeat(width.saturating_sub(word.width()) + GAP));
        }
        text.trim_end().to_owned()
    };
    std::iter::once(&titles).chain(rows).map(line).collect::<Vec<_>>().join("\n")
}

/// The width of a line with columns of these widths.
fn sum(widths: impl ExactSizeIterator<Item = usize>) -> usize {
    let gaps = GAP * widths.len().saturating_sub(1);
    widths.sum::<usize>() + gaps
}

/// The text in at most `width` columns.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut short = String::new();
    for character in text.chars() {
        let mut longer = short.clone();
        longer.push(character);
        if longer.width() >= width {
            break;
        }
        short = longer;
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::Fit::{Shrinks, Spare, Whole};
    use super::*;
    use proptest::prelude::*;

    fn plain(cells: &[&str]) -> Vec<Cell> {
        cells.iter().map(|cell| ((*cell).to_owned(), Look::Plain)).collect()
    }

    fn shown(head: &[(&str, Fit)], rows: &[Vec<Cell>], most: usize) -> String {
        let text = fitted(head, rows, most);
        // Marks of looks take no room.
        text.chars().filter(|character| *character == '\n' || !character.is_control()).collect()
    }

    #[test]
    fn a_table_lines_up_and_has_no_spaces_at_its_ends() {
        let rows = [plain(&["a", "x"]), plain(&["länger", ""]), plain(&["日本", "y"])];
        let text = shown(&[("N", Whole), ("B", Whole)], &rows, 80);
        assert_eq!(text, "N       B\na       x\nlänger\n日本    y");
    }

    #[test]
    fn in_a_table_that_is_too_wide_spare_columns_go_and_texts_are_cut() {
        let rows = [plain(&["spn_1", "here", "Fix the flaky test in the parser", "7 s ago"])];
        let head = [("ID", Whole), ("WHERE", Spare), ("TASK", Shrinks), ("AGE", Spare)];
        assert_eq!(
            shown(&head, &rows, 40),
            "ID     WHERE  TASK               AGE\nspn_1  here   Fix the flaky te…  7 s ago"
        );
        assert_eq!(shown(&head, &rows, 26), "ID     WHERE  TASK\nspn_1  here   Fix the fla…");
        assert_eq!(shown(&head, &rows, 16), "ID     TASK\nspn_1  Fix the …");
        // An id is never cut.
        assert_eq!(shown(&head, &rows, 3), "ID     TASK\nspn_1  Fix the…");
    }

    proptest! {
        #[test]
        fn every_line_fits_if_its_whole_columns_do(
            cells in prop::collection::vec(prop::collection::vec("[a-zé日🔥 ]{0,60}", 4), 0..6),
        ) {
            let rows: Vec<_> = cells
                .iter()
                .map(|row| {
                    let id = "i".repeat(row[0].chars().count());
                    vec![(id, Look::Plain), (row[1].clone(), Look::Plain), (row[2].clone(), Look::Good), (row[3].clone(), Look::Plain)]
                })
                .collect();
            let head = [("ID", Whole), ("A", Spare), ("TASK", Shrinks), ("B", Shrinks)];
            let text = shown(&head, &rows, 80);
            prop_assert_eq!(text.lines().count(), rows.len() + 1);
            for (line, row) in text.lines().skip(1).zip(&rows) {
                prop_assert!(line.width() <= 80, "{}", line);
                prop_assert!(line.starts_with(&row[0].0), "{}", line);
            }
        }
    }
}

//! Columns as Go's `text/tabwriter` lays them out, and the same columns padded with spaces.
//!
//! Every cell but the last of a line belongs to a column. A column is as wide as the widest of the cells that stand
//! in it on consecutive lines, plus the padding. Widths count characters.

/// What fills a cell up to its column's width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Padding {
    /// Tabs, for columns rounded up to multiples of [`TAB_WIDTH`], with at least one character between. fleetctl's.
    Tabs,
    /// Spaces, at least two between columns.
    Spaces,
}

/// Characters to a tab stop.
const TAB_WIDTH: usize = 8;

/// Lays out `text`, whose lines are cells with a tab between them.
pub fn align(text: &str, padding: Padding) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let widths = column_widths(&lines, padding);
    let mut out = String::with_capacity(text.len() * 2);
    for (line, widths) in lines.iter().zip(&widths) {
        for (column, cell) in line.iter().enumerate() {
            out.push_str(cell);
            if let Some(width) = widths.get(column) {
                pad(&mut out, width - characters(cell), padding);
            }
        }
        out.push('\n');
    }
    out
}

/// For each line the width of each column that it has a cell in.
fn column_widths(lines: &[Vec<&str>], padding: Padding) -> Vec<Vec<usize>> {
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|line| vec![0; line.len() - 1]).collect();
    let columns = widths.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            let run = widths[start..].iter().take_while(|widths| widths.len() > column).count();
            let cells = lines[start..start + run].iter().map(|line| characters(line[column]));
            let width = column_width(cells.max().unwrap_or(0), padding);
            widths[start..start + run].iter_mut().for_each(|widths| widths[column] = width);
            // The line that ends the run has no cell in this column.
            start += run + 1;
        }
    }
    widths
}

fn column_width(widest: usize, padding: Padding) -> usize {
    match padding {
        Padding::Tabs => (widest + 1).next_multiple_of(TAB_WIDTH),
        Padding::Spaces => widest + 2,
    }
}

fn pad(out: &mut String, missing: usize, padding: Padding) {
    let (fill, count) = match padding {
        Padding::Tabs => ('\t', missing.div_ceil(TAB_WIDTH)),
        Padding::Spaces => (' ', missing),
    };
    out.extend(std::iter::repeat_n(fill, count));
}

fn characters(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, tabs: &str, spaces: &str) {
        assert_eq!(align(text, Padding::Tabs), tabs);
        assert_eq!(align(text, Padding::Spaces), spaces);
    }

    #[test]
    fn a_table() {
        check(
            "UNIT\tMACHINE\tSUB\nhello.service\tf1ee0100.../10.1.1.1\trunning\n",
            "UNIT\t\tMACHINE\t\t\tSUB\nhello.service\tf1ee0100.../10.1.1.1\trunning\n",
            "UNIT           MACHINE               SUB\nhello.service  f1ee0100.../10.1.1.1  running\n",
        );
    }

    #[test]
    fn a_cell_that_reaches_the_tab_stop_gets_another_tab() {
        check("1234567\tx\n", "1234567\tx\n", "1234567  x\n");
        check("12345678\tx\n1\ty\n", "12345678\tx\n1\t\ty\n", "12345678  x\n1         y\n");
    }

    #[test]
    fn last_cells_make_no_column() {
        check("a very long last cell\nb\tc\n", "a very long last cell\nb\tc\n", "a very long last cell\nb  c\n");
        check("one\n", "one\n", "one\n");
        check("", "", "");
    }

    #[test]
    fn a_line_without_the_column_splits_it() {
        check("123456789\tx\n-\n1\ty\n", "123456789\tx\n-\n1\ty\n", "123456789  x\n-\n1  y\n");
    }

    #[test]
    fn empty_cells_and_wide_characters() {
        check("a\t\tb\nñandú\tc\td\n", "a\t\tb\nñandú\tc\td\n", "a         b\nñandú  c  d\n");
    }
}

//! Tables on a terminal: columns as wide as their widest cell, numbers to the right.

use std::fmt::Write;

/// A table that is printed when it is complete.
pub(super) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a title and the names of its columns.
    pub(super) fn new(title: &str, columns: &[&str]) -> Self {
        Self { title: title.to_owned(), rows: vec![columns.iter().map(|&column| column.to_owned()).collect()] }
    }

    /// Adds a row; the first cell is its name.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Prints it.
    pub(super) fn print(&self) {
        println!("\n{}\n{}", self.title, self.text());
    }

    fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max())
            .map(Option::unwrap_or_default)
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let written =
                    if column == 0 { write!(text, "{cell:<width$}") } else { write!(text, "  {cell:>width$}") };
                debug_assert!(written.is_ok(), "writing to a String cannot fail");
            }
            text.push('\n');
        }
        text
    }
}

/// A number with as many digits as it deserves.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new("t", &["what", "n"]);
        table.row(["a".to_owned(), "1".to_owned()]);
        table.row(["longer".to_owned(), "1000".to_owned()]);
        assert_eq!(table.text(), "what       n\na          1\nlonger  1000\n");
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([number(1234.5), number(12.345), number(0.01234)], ["1234", "12.35", "0.012"].map(str::to_owned));
    }
}

//! Rows as a table for people, as CSV for a spreadsheet, or as JSON for a script.

use std::io::Write;

use crate::cli::user::{cell, plain};

/// In which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// Aligned columns.
    Table,
    /// Comma-separated values (RFC 4180), with a header.
    Csv,
    /// One JSON object a line.
    Json,
}

/// Writes rows as they come, so that a long report needs no memory; a table for people is aligned page by page.
pub struct Rows<'a, W: Write> {
    out: &'a mut W,
    form: Form,
    columns: Vec<&'static str>,
    waiting: Vec<Vec<Option<String>>>,
    began: bool,
    /// How many rows there were.
    pub count: u64,
}

/// Rows that are aligned together.
const TOGETHER: usize = 500;

impl<'a, W: Write> Rows<'a, W> {
    /// Rows of these columns.
    pub fn new(out: &'a mut W, form: Form, columns: Vec<&'static str>) -> Self {
        Rows { out, form, columns, waiting: Vec::new(), began: false, count: 0 }
    }

    /// Writes one: a text for each column, or nothing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn row(&mut self, cells: Vec<Option<String>>) -> std::io::Result<()> {
        self.count += 1;
        match self.form {
            Form::Table => {
                self.waiting.push(cells);
                if self.waiting.len() >= TOGETHER { self.align() } else { Ok(()) }
            }
            Form::Csv => {
                self.header()?;
                self.record(cells.into_iter().map(|text| cell(text.map(serde_json::Value::from).as_ref())))
            }
            Form::Json => {
                let pairs = self.columns.iter().zip(cells);
                let object: serde_json::Map<_, _> =
                    pairs.map(|(column, text)| ((*column).to_owned(), text.into())).collect();
                serde_json::to_writer(&mut *self.out, &object)?;
                writeln!(self.out)
            }
        }
    }

    /// Writes what waits, and the header where there was no row.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self) -> std::io::Result<u64> {
        match self.form {
            Form::Table => self.align()?,
            Form::Csv => self.header()?,
            Form::Json => {}
        }
        Ok(self.count)
    }

    fn header(&mut self) -> std::io::Result<()> {
        if self.began {
            return Ok(());
        }
        self.began = true;
        let header: Vec<String> = self.columns.iter().map(|column| (*column).to_owned()).collect();
        self.record(header.into_iter())
    }

    fn record(&mut self, cells: impl Iterator<Item = String>) -> std::io::Result<()> {
        let mut csv = csv::Writer::from_writer(&mut *self.out);
        csv.write_record(cells)?;
        csv.flush()
    }

    fn align(&mut self) -> std::io::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let shown: Vec<Vec<String>> = waiting
            .into_iter()
            .map(|row| row.into_iter().map(|text| text.map_or_else(|| "-".into(), |text| plain(&text))).collect())
            .collect();
        let width = |place: usize| {
            let longest = shown.iter().filter_map(|row| row.get(place)).map(|text| text.chars().count()).max();
            longest.unwrap_or(0).max(self.columns.get(place).map_or(0, |column| column.len()))
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let mut line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
            writeln!(self.out, "{}", cells.join("  ").trim_end())
        };
        if !shown.is_empty() || !self.began {
            self.began = true;
            line(&self.columns.iter().map(|column| (*column).to_owned()).collect::<Vec<_>>())?;
        }
        shown.iter().try_for_each(|row| line(row))
    }
}

//! Rows as `COPY … (FORMAT binary)` takes them: many rows come in twice as fast as by a statement, because the server
//! writes whole pages of them. Pure. Format: <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".

use crate::users::sql::driver::Rows;
use crate::users::sql::value::{Cell, listed};
use crate::users::store::{StoreError, StoreResult};

/// What the octets begin with: the signature, no flags, no extension.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What they end with.
const END: [u8; 2] = (-1_i16).to_be_bytes();
/// The length of a field that is not there.
const NOTHING: [u8; 4] = (-1_i32).to_be_bytes();

/// These rows, each with `width` values.
///
/// # Errors
/// [`StoreError::Unavailable`] where a row has another width, or a value is longer than the format allows.
pub(super) fn encoded(width: usize, rows: &dyn Rows) -> StoreResult<Vec<u8>> {
    let mut octets = Vec::with_capacity(rows.len() * width * 16 + HEAD.len() + END.len());
    octets.extend_from_slice(HEAD);
    let fields = i16::try_from(width).map_err(|_| unfit("a row has too many columns"))?;
    let mut cells = Vec::with_capacity(width);
    for place in 0..rows.len() {
        cells.clear();
        rows.row(place, &mut cells);
        if cells.len() != width {
            return Err(unfit("a row has not as many values as there are columns"));
        }
        octets.extend_from_slice(&fields.to_be_bytes());
        cells.iter().try_for_each(|cell| put(&mut octets, *cell))?;
    }
    octets.extend_from_slice(&END);
    Ok(octets)
}

fn put(octets: &mut Vec<u8>, cell: Cell<'_>) -> StoreResult<()> {
    match cell {
        Cell::Int(Some(number)) => field(octets, &number.to_be_bytes()),
        Cell::Text(Some(text)) if text.contains('\0') => field(octets, super::text(text.to_owned()).as_bytes()),
        Cell::Text(Some(text)) => field(octets, text.as_bytes()),
        Cell::Word(word) => field(octets, word.as_bytes()),
        Cell::Blob(Some(blob)) => field(octets, blob),
        Cell::List(texts) => field(octets, listed(texts).as_bytes()),
        Cell::Address(address) => field(octets, address.to_string().as_bytes()),
        Cell::SignIn(sign_in) => field(octets, &sign_in.digits()),
        Cell::Int(None) | Cell::Text(None) | Cell::Blob(None) => {
            octets.extend_from_slice(&NOTHING);
            Ok(())
        }
        Cell::Column(_) => Err(unfit("a column stands where a value belongs")),
    }
}

fn field(octets: &mut Vec<u8>, value: &[u8]) -> StoreResult<()> {
    let length = i32::try_from(value.len()).map_err(|_| unfit("a value is longer than two gigabytes"))?;
    octets.extend_from_slice(&length.to_be_bytes());
    octets.extend_from_slice(value);
    Ok(())
}

fn unfit(why: &str) -> StoreError {
    StoreError::Unavailable(format!("rows could not be copied: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::sql::value::Value;

    #[test]
    fn rows_are_written_as_the_server_reads_them() {
        let rows =
            vec![vec![Value::from(258_i64), Value::from("né\0")], vec![Value::Int(None), Value::Blob(Some(vec![7]))]];
        let octets = encoded(2, &rows).unwrap();
        let mut expected = b"PGCOPY\n\xff\r\n\0".to_vec();
        expected.extend([0; 8]);
        expected.extend([0, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2]);
        expected.extend([0, 0, 0, 6, b'n', 0xc3, 0xa9, 0xef, 0xbf, 0xbd]);
        expected.extend([0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 7, 0xff, 0xff]);
        assert_eq!(octets, expected);
        assert_eq!(encoded(1, &Vec::<Vec<Value>>::new()).unwrap().len(), HEAD.len() + END.len());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(encoded(2, &vec![vec![Value::from(1_i64)]]).is_err());
        assert!(encoded(1, &vec![vec![Value::Ints(vec![Some(1)])]]).is_err());
    }
}

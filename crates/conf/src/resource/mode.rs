//! Permissions as people write them.

/// The bits that a mode may have.
const ALL_BITS: u32 = 0o7777;

/// Reads a mode: always octal, `0644`, `644` and `0o644` are the same. confd read `644` as a decimal number.
pub fn parse_mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode) if mode <= ALL_BITS && !digits.starts_with('+') => Ok(mode),
        _ => Err(format!("\"{text}\" is no mode: it is octal, such as \"0644\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal_however_it_is_written() {
        for text in ["0644", "644", "0o644"] {
            assert_eq!(parse_mode(text), Ok(0o644), "{text}");
        }
        assert_eq!(parse_mode("4755"), Ok(0o4755));
        for text in ["", "u+x", "888", "10000", "+644"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
    }
}

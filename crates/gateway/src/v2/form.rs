//! PURE. Parameters from the query and from a form in the body, as Go reads them.

use super::error::{Code, V2Error};

/// The parameters of a request: those of the body first, so that they win.
#[derive(Debug, Default)]
pub struct Form(Vec<(Vec<u8>, Vec<u8>)>);

impl Form {
    /// Reads the query of the URL and, for PUT and POST of a form, the body.
    pub fn parse(query: &str, body: &[u8]) -> Result<Form, V2Error> {
        let mut pairs = Vec::new();
        for pair in body.split(|byte| *byte == b'&').chain(query.as_bytes().split(|byte| *byte == b'&')) {
            if pair.is_empty() {
                continue;
            }
            if pair.contains(&b';') {
                return Err(V2Error::new(Code::InvalidForm, "invalid semicolon separator in query"));
            }
            let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            pairs.push((unescape(name, true)?, unescape(value, true)?));
        }
        Ok(Form(pairs))
    }

    /// The parameter, if given; the first one of several.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(given, _)| given == name.as_bytes()).map(|(_, value)| value.as_slice())
    }

    /// A number; None where it is none.
    pub fn number(&self, name: &str) -> Option<u64> {
        let Some(value) = self.get(name) else { return Some(0) };
        let text = std::str::from_utf8(value).ok()?;
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    }

    /// Yes or no, in the spellings that Go knows; `invalid` is told of others.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, V2Error> {
        match self.get(name) {
            None => Ok(None),
            Some(b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True") => Ok(Some(true)),
            Some(b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False") => Ok(Some(false)),
            Some(_) => Err(V2Error::new(Code::InvalidField, format!("invalid value for \"{name}\""))),
        }
    }
}

/// Decodes `%xx`, and `+` if it stands for a blank.
pub fn unescape(text: &[u8], plus_is_blank: bool) -> Result<Vec<u8>, V2Error> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match byte {
            b'%' => {
                let digits = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
                let digits = digits.filter(|pair| pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
                let Some(value) = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok()) else {
                    let shown = String::from_utf8_lossy(&tail[..tail.len().min(2)]);
                    return Err(V2Error::new(Code::InvalidForm, format!("invalid URL escape \"%{shown}\"")));
                };
                plain.push(value);
                rest = &tail[2..];
            }
            b'+' if plus_is_blank => plain.push(b' '),
            byte => plain.push(*byte),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_wins_over_the_query() {
        let form = Form::parse("value=q&ttl=5", b"value=a+b%26").unwrap();
        assert_eq!(form.get("value"), Some(&b"a b&"[..]));
        assert_eq!(form.number("ttl"), Some(5));
        assert_eq!(form.number("prevIndex"), Some(0));
        assert_eq!(form.get("nope"), None);
    }

    #[test]
    fn what_go_refuses_is_refused() {
        assert_eq!(Form::parse("a=1;b=2", b"").unwrap_err().cause, "invalid semicolon separator in query");
        assert_eq!(Form::parse("a=%zz", b"").unwrap_err().cause, "invalid URL escape \"%zz\"");
        assert_eq!(Form::parse("a=%+1", b"").unwrap_err().cause, "invalid URL escape \"%+1\"");
        assert_eq!(Form::parse("", b"a=%").unwrap_err().cause, "invalid URL escape \"%\"");
        let form = Form::parse("n=-1&m=+1&big=99999999999999999999&empty=&flag=yes", b"").unwrap();
        for name in ["n", "m", "big", "empty"] {
            assert_eq!(form.number(name), None, "{name}");
        }
        assert!(form.flag("flag").is_err());
        assert_eq!(form.flag("nope").unwrap(), None);
    }
}

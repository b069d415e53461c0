//! Fleet's page tokens: which slice of a list an answer holds, and how to ask for the next.

use std::ops::Range;

use base64::{DecodeError, Engine as _, engine::general_purpose::URL_SAFE};
use thiserror::Error;

/// Items in one page; a token that asks for another number is refused.
pub const PAGE_LIMIT: u16 = 100;

/// Items that tokens can reach (the page number has 16 bits). A longer list ends here.
pub const MAX_PAGED_ITEMS: usize = PAGE_LIMIT as usize * u16::MAX as usize;

/// A position in a list: URL-safe base64 of two little-endian 16-bit numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageToken {
    limit: u16,
    page: u16,
}

/// Why a page token is refused (HTTP 400).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenError {
    /// Not base64.
    #[error("illegal base64 data at input byte {0}")]
    Base64(usize),
    /// Fewer than four bytes, cut between the two numbers.
    #[error("EOF")]
    Eof,
    /// Fewer than four bytes, cut inside a number.
    #[error("unexpected EOF")]
    UnexpectedEof,
    /// More than four bytes, or more than one token in the query.
    #[error("too many values for page token")]
    TooMany,
    /// Another page size than the server's.
    #[error("token limit must be {PAGE_LIMIT}")]
    Limit,
    /// Page zero; pages count from one.
    #[error("token page must be greater than zero")]
    Page,
}

impl PageToken {
    /// The first page, which needs no token.
    pub const FIRST: Self = Self { limit: PAGE_LIMIT, page: 1 };

    /// Reads a token and checks that it is one that this API gives out.
    pub fn decode(text: &str) -> Result<Self, TokenError> {
        let token = Self::decode_unchecked(text)?;
        if token.limit != PAGE_LIMIT {
            return Err(TokenError::Limit);
        }
        if token.page == 0 {
            return Err(TokenError::Page);
        }
        Ok(token)
    }

    /// The token of a request, given every `nextPageToken` value of its query.
    pub fn from_query<'a>(values: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, TokenError> {
        let mut values = values.into_iter();
        let Some(text) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(TokenError::TooMany);
        }
        Self::decode(text).map(Some)
    }

    /// The token as it stands in answers and queries.
    pub fn encode(self) -> String {
        let [a, b] = self.limit.to_le_bytes();
        let [c, d] = self.page.to_le_bytes();
        URL_SAFE.encode([a, b, c, d])
    }

    fn decode_unchecked(text: &str) -> Result<Self, TokenError> {
        let bytes = URL_SAFE.decode(text).map_err(|error| {
            TokenError::Base64(match error {
                DecodeError::InvalidByte(offset, _) | DecodeError::InvalidLastSymbol(offset, _) => offset,
                DecodeError::InvalidLength(length) => length,
                DecodeError::InvalidPadding => text.len(),
            })
        })?;
        match *bytes.as_slice() {
            [a, b, c, d] => Ok(Self { limit: u16::from_le_bytes([a, b]), page: u16::from_le_bytes([c, d]) }),
            [] | [_, _] => Err(TokenError::Eof),
            [_] | [_, _, _] => Err(TokenError::UnexpectedEof),
            _ => Err(TokenError::TooMany),
        }
    }
}

/// The slice of `items` that `token` asks for (none: the first), and the token of the next slice if there is one.
///
/// A page past the end is empty. Unlike fleet, a list whose length is a multiple of the limit ends without an
/// extra empty page.
pub fn paginate<T>(items: &[T], token: Option<PageToken>) -> (&[T], Option<PageToken>) {
    let (range, next) = page_of(items.len(), token);
    (&items[range], next)
}

/// As [`paginate`], for a list of `length` items that is not a slice: which of them the page holds.
pub fn page_of(length: usize, token: Option<PageToken>) -> (Range<usize>, Option<PageToken>) {
    let token = token.unwrap_or(PageToken::FIRST);
    let limit = usize::from(token.limit);
    let start = (usize::from(token.page).saturating_sub(1) * limit).min(length);
    let end = (start + limit).min(length);
    let next = (end < length).then(|| token.page.checked_add(1)).flatten().map(|page| PageToken { page, ..token });
    (start..end, next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleets_vectors() {
        let token = PageToken { limit: 19, page: 11852 };
        assert_eq!(token.encode(), "EwBMLg==");
        assert_eq!(PageToken::decode_unchecked("EwBMLg=="), Ok(token));
        let second = PageToken { limit: 100, page: 2 };
        assert_eq!(second.encode(), "ZAACAA==");
        assert_eq!(PageToken::decode("ZAACAA=="), Ok(second));
    }

    #[test]
    fn refusals_have_fleets_words() {
        for (text, message) in [
            ("EwBMLg==", "token limit must be 100"),
            ("ZAAAAA==", "token page must be greater than zero"),
            ("ZAACAAA=", "too many values for page token"),
            ("", "EOF"),
            ("ZAA=", "EOF"),
            ("ZA==", "unexpected EOF"),
            ("ZAAC", "unexpected EOF"),
            ("ZA*CAA==", "illegal base64 data at input byte 2"),
        ] {
            let error = PageToken::decode(text).unwrap_err();
            assert_eq!(error.to_string(), message, "{text}");
        }
        assert_eq!(PageToken::from_query(["ZAACAA==", "ZAACAA=="]), Err(TokenError::TooMany));
        assert_eq!(PageToken::from_query([]), Ok(None));
    }

    #[test]
    fn pages_cover_the_list_once() {
        for length in [0, 1, 99, 100, 101, 200, 70_001] {
            let items: Vec<usize> = (0..length).collect();
            let (mut seen, mut token, mut pages) = (Vec::new(), None, 0);
            loop {
                let (page, next) = paginate(&items, token);
                seen.extend_from_slice(page);
                pages += 1;
                // Through the wire and back, as a client would.
                token = next.map(|next| PageToken::decode(&next.encode()).unwrap());
                if token.is_none() {
                    break;
                }
            }
            assert_eq!(seen, items);
            assert_eq!(pages, length.div_ceil(100).max(1));
        }
    }

    #[test]
    fn past_the_end_is_empty() {
        let last = PageToken { limit: 100, page: u16::MAX };
        assert_eq!(paginate(&[1, 2, 3], Some(last)), (&[][..], None));
    }
}

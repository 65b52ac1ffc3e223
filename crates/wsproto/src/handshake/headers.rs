//! Header lists (RFC 9110 §5), and the lists inside of header values: tokens, and extensions with parameters.
//!
//! The tokenizers are written by hand and go over a value once, from left to right, so that no value makes them
//! slow.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::error::{InvalidHeader, MalformedList};
use crate::extension::Params;

/// A list of header fields in their order, with repetitions (RFC 9110 §5.2).
///
/// What is in it can be written as it is: names are tokens, values hold no CR, LF, NUL or other control and neither
/// begin nor end with white space (RFC 9110 §5.5). Values are bytes, because received ones may hold any byte from
/// 0x80 on (`obs-text`). All names share one buffer, and so do all values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    names: String,
    values: Vec<u8>,
    /// Where each field ends in `names` and in `values`.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self { names: String::new(), values: Vec::new(), ends: Vec::new() }
    }

    /// Adds a field after the others.
    ///
    /// # Errors
    ///
    /// When the name or the value cannot stand in a head; the list is as it was.
    pub fn push(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), InvalidHeader> {
        let value = value.as_ref();
        if !is_token(name) {
            return Err(InvalidHeader::Name);
        }
        if !is_field_value(value) {
            return Err(InvalidHeader::Value);
        }
        self.push_valid(name, value);
        Ok(())
    }

    /// The same list with one more field, for building a list in one expression.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, InvalidHeader> {
        self.push(name, value)?;
        Ok(self)
    }

    /// The list of these fields.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push), at the first field that is refused.
    pub fn from_fields<N, V>(fields: impl IntoIterator<Item = (N, V)>) -> Result<Self, InvalidHeader>
    where
        N: AsRef<str>,
        V: AsRef<[u8]>,
    {
        let mut headers = Self::new();
        for (name, value) in fields {
            headers.push(name.as_ref(), value)?;
        }
        Ok(headers)
    }

    /// All fields in their order: names as they were written, and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let mut start = (0, 0);
        self.ends.iter().map(move |&end| {
            let field = (&self.names[start.0..end.0], &self.values[start.1..end.1]);
            start = end;
            field
        })
    }

    /// The values of all fields with this name, in any case ("field names are case-insensitive", RFC 9110 §5.1).
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The value of the first field with this name, in any case.
    #[must_use]
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.values(name).next()
    }

    /// The value of the first field with this name as text; `None` also where it is not UTF-8.
    #[must_use]
    pub fn text<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.value(name).and_then(|value| core::str::from_utf8(value).ok())
    }

    /// Whether there is a field with this name, in any case.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The value where exactly one field has this name: `Ok(None)` for none, `Err` for more.
    pub(super) fn single<'a>(&'a self, name: &'a str) -> Result<Option<&'a [u8]>, Repeated> {
        let mut values = self.values(name);
        let first = values.next();
        if values.next().is_some() { Err(Repeated) } else { Ok(first) }
    }

    /// Whether one of the comma-separated elements of the fields with this name is `token`, in any case and as a
    /// whole.
    pub(super) fn lists_token(&self, name: &str, token: &str) -> bool {
        self.values(name).any(|value| {
            value.split(|&byte| byte == b',').any(|element| trim(element).eq_ignore_ascii_case(token.as_bytes()))
        })
    }

    /// Adds a field that is known to be valid, or was checked.
    pub(super) fn push_valid(&mut self, name: &str, value: impl AsRef<[u8]>) {
        debug_assert!(is_token(name) && is_field_value(value.as_ref()));
        self.names.push_str(name);
        self.values.extend_from_slice(value.as_ref());
        self.ends.push((self.names.len(), self.values.len()));
    }

    /// Adds all fields of another list.
    pub(super) fn append(&mut self, other: &Self) {
        for (name, value) in other.iter() {
            self.push_valid(name, value);
        }
    }

    /// "Field names MUST be converted to lowercase when constructing an HTTP/2 message" (RFC 9113 §8.2).
    pub(super) fn lowercase_names(&mut self) {
        self.names.make_ascii_lowercase();
    }
}

/// Headers whose values are secrets.
const SECRET: [&str; 4] = ["Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie"];

/// Shows all but secrets, which do not belong into logs.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_secret = |name: &str| SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
        let shown = |(name, value)| {
            (name, if is_secret(name) { Cow::Borrowed("(hidden)") } else { String::from_utf8_lossy(value) })
        };
        f.debug_map().entries(self.iter().map(shown)).finish()
    }
}

/// More than one field has a name that must occur once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

/// Whether a field with this name belongs to the handshake, the framing or the connection, so that a caller must
/// not add it (RFC 6455 §11.3; RFC 9110 §7.6.1; RFC 9113 §8.2.2).
pub(super) fn is_reserved(name: &str) -> bool {
    const RESERVED: [&str; 10] = [
        "connection",
        "upgrade",
        "host",
        "transfer-encoding",
        "content-length",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "http2-settings",
    ];
    let sec_websocket = name.as_bytes().get(..14).is_some_and(|start| start.eq_ignore_ascii_case(b"sec-websocket-"));
    sec_websocket || RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved))
}

/// `token = 1*tchar` (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_tchar)
}

const fn is_tchar(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// `field-value` (RFC 9110 §5.5): visible characters and `obs-text`, white space only between them.
fn is_field_value(value: &[u8]) -> bool {
    let is_field_byte = |byte: u8| byte == b'\t' || (byte >= b' ' && byte != 0x7f);
    trim(value).len() == value.len() && value.iter().copied().all(is_field_byte)
}

/// The value without the optional white space around it: "OWS = *( SP / HTAB )" (RFC 9110 §5.6.3).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The elements of one value of `Sec-WebSocket-Protocol` (RFC 6455 §11.3.4): tokens between commas.
///
/// "A recipient MUST parse and ignore a reasonable number of empty list elements" (RFC 9110 §5.6.1.2).
pub(super) struct TokenList<'h>(Cursor<'h>);

impl<'h> TokenList<'h> {
    pub(super) fn new(value: &'h str) -> Self {
        Self(Cursor::new(value))
    }
}

impl<'h> Iterator for TokenList<'h> {
    type Item = Result<&'h str, MalformedList>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.0.find_element() {
            return None;
        }
        let element = self.0.token().and_then(|token| self.0.end_element().map(|()| token));
        Some(element.inspect_err(|_| self.0.stop()))
    }
}

/// Most subprotocols in a request, and most parameters of one extension: what is kept of a hostile list is less than
/// the list itself. Honest ones have a handful.
pub(super) const MAX_LIST: usize = 64;

/// The elements of one value of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
///
/// `extension = extension-token *( ";" extension-param )`, where a parameter is a token that may have a value, a token
/// or a quoted string: "the value after quoted-string unescaping MUST conform to the 'token' ABNF".
pub(super) struct ExtensionList<'h>(Cursor<'h>);

impl<'h> ExtensionList<'h> {
    pub(super) fn new(value: &'h str) -> Self {
        Self(Cursor::new(value))
    }

    fn element(&mut self) -> Result<Params, MalformedList> {
        let cursor = &mut self.0;
        let mut params = Params::new(cursor.token()?);
        cursor.skip_white_space();
        let mut count = 0;
        while cursor.eat(b';') {
            count += 1;
            if count > MAX_LIST {
                return Err(MalformedList);
            }
            cursor.skip_white_space();
            let name = cursor.token()?;
            cursor.skip_white_space();
            params = if cursor.eat(b'=') {
                cursor.skip_white_space();
                params.with_value(name, cursor.token_or_quoted()?)
            } else {
                params.with(name)
            };
            cursor.skip_white_space();
        }
        cursor.end_element()?;
        Ok(params)
    }
}

impl Iterator for ExtensionList<'_> {
    type Item = Result<Params, MalformedList>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.0.find_element() {
            return None;
        }
        Some(self.element().inspect_err(|_| self.0.stop()))
    }
}

/// A position in a value that only moves forward, by one look at each byte and at most one more.
struct Cursor<'h> {
    text: &'h str,
    at: usize,
    /// How many times a byte was looked at: what the tests of linear time count.
    #[cfg(test)]
    looks: usize,
}

impl<'h> Cursor<'h> {
    fn new(text: &'h str) -> Self {
        Self {
            text,
            at: 0,
            #[cfg(test)]
            looks: 0,
        }
    }

    fn peek(&mut self) -> Option<u8> {
        #[cfg(test)]
        {
            self.looks += 1;
        }
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_white_space(&mut self) {
        while let Some(b' ' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Moves to the next element that is not empty; false at the end.
    fn find_element(&mut self) -> bool {
        while let Some(b' ' | b'\t' | b',') = self.peek() {
            self.at += 1;
        }
        self.at < self.text.len()
    }

    /// After an element comes a comma or the end.
    fn end_element(&mut self) -> Result<(), MalformedList> {
        self.skip_white_space();
        if self.eat(b',') || self.at == self.text.len() { Ok(()) } else { Err(MalformedList) }
    }

    /// Nothing more comes from this value.
    fn stop(&mut self) {
        self.at = self.text.len();
    }

    fn token(&mut self) -> Result<&'h str, MalformedList> {
        let start = self.at;
        while self.peek().is_some_and(is_tchar) {
            self.at += 1;
        }
        if self.at == start { Err(MalformedList) } else { Ok(&self.text[start..self.at]) }
    }

    fn token_or_quoted(&mut self) -> Result<Cow<'h, str>, MalformedList> {
        if !self.eat(b'"') {
            return self.token().map(Cow::Borrowed);
        }
        let mut value = String::new();
        while !self.eat(b'"') {
            // A quoted pair stands for its second byte, which must be part of a token like all others.
            self.eat(b'\\');
            match self.peek() {
                Some(byte) if is_tchar(byte) => value.push(char::from(byte)),
                _ => return Err(MalformedList),
            }
            self.at += 1;
        }
        if value.is_empty() { Err(MalformedList) } else { Ok(Cow::Owned(value)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn extensions(value: &str) -> Result<Vec<String>, MalformedList> {
        ExtensionList::new(value).map(|element| element.map(|params| params.to_string())).collect()
    }

    fn tokens(value: &str) -> Result<Vec<&str>, MalformedList> {
        TokenList::new(value).collect()
    }

    #[test]
    fn names_are_found_in_any_case_and_values_stay_bytes() {
        let headers = Headers::from_fields([("Host", &b"a"[..]), ("X-Raw", b"\xff x\t\x80"), ("hOST", b"")]).unwrap();
        assert_eq!(headers.values("HOST").collect::<Vec<_>>(), [&b"a"[..], b""]);
        assert_eq!(headers.text("host"), Some("a"));
        assert_eq!(headers.value("x-raw"), Some(&b"\xff x\t\x80"[..]));
        assert_eq!(headers.text("x-raw"), None);
        assert_eq!(headers.single("Host"), Err(Repeated));
        assert_eq!(headers.single("X-Raw").unwrap().map(<[u8]>::len), Some(5));
        assert_eq!(headers.single("Nothing"), Ok(None));
        assert_eq!((headers.len(), headers.is_empty(), headers.contains("x")), (3, false, false));
        let headers = Headers::from_fields([("A", &b"x"[..]), ("B", b"\xff\"")]).unwrap();
        assert_eq!(alloc::format!("{headers:?}"), "{\"A\": \"x\", \"B\": \"\u{fffd}\\\"\"}");
        let secrets = Headers::from_fields([("cookie", "id=7"), ("AUTHORIZATION", "Basic YTpi")]).unwrap();
        let shown = alloc::format!("{secrets:?}");
        assert_eq!(shown, "{\"cookie\": \"(hidden)\", \"AUTHORIZATION\": \"(hidden)\"}");
    }

    #[test]
    fn what_cannot_be_written_is_refused_and_changes_nothing() {
        let mut headers = Headers::new();
        for name in ["", "a b", "a:", "ä", "a\r", "\n", "a\0", "(x)"] {
            assert_eq!(headers.push(name, "v"), Err(InvalidHeader::Name), "{name:?}");
        }
        for value in ["\r\nX: y", "\n", "\r", "a\0b", " a", "a ", "\ta", "a\t", "\x7f", "\x1b"] {
            assert_eq!(headers.push("X", value), Err(InvalidHeader::Value), "{value:?}");
        }
        assert_eq!(headers, Headers::new());
    }

    #[test]
    fn tokens_are_matched_whole() {
        let headers = Headers::from_fields([("Upgrade", "h2c,\t WebSocket ,"), ("Upgrade", "a")]).unwrap();
        assert!(headers.lists_token("upgrade", "websocket"));
        assert!(headers.lists_token("upgrade", "A"));
        assert!(!headers.lists_token("upgrade", "socket"));
        assert!(!headers.lists_token("upgrade", "h2"));
        let headers = Headers::from_fields([("Upgrade", "websocket/13"), ("Upgrade", "web socket")]).unwrap();
        assert!(!headers.lists_token("upgrade", "websocket"));
    }

    #[test]
    fn token_lists() {
        assert_eq!(tokens("a"), Ok(vec!["a"]));
        assert_eq!(tokens(" a ,b\t,, c,"), Ok(vec!["a", "b", "c"]));
        assert_eq!(tokens(" ,, "), Ok(vec![]));
        for value in ["a b", "a;b", "\"a\"", "a, b c", "a,é", "a/b", "[x]"] {
            assert_eq!(tokens(value), Err(MalformedList), "{value}");
        }
        // After a malformed element there is nothing more.
        let mut list = TokenList::new("a b, c");
        assert_eq!((list.next(), list.next()), (Some(Err(MalformedList)), None));
    }

    #[test]
    fn extension_lists() {
        for (value, expected) in [
            ("foo", vec!["foo"]),
            ("foo, bar; baz=2", vec!["foo", "bar; baz=2"]),
            ("foo ;\ta = 1 ; b ;b;b , foo;a=\"1\"", vec!["foo; a=1; b; b; b", "foo; a=1"]),
            (r#"foo; a="\1\2x""#, vec!["foo; a=12x"]),
            (",, foo,,", vec!["foo"]),
            ("", vec![]),
        ] {
            assert_eq!(extensions(value).unwrap(), expected, "{value}");
        }
        for value in [
            "foo;",
            "foo; ",
            ";a",
            "foo;;a",
            "foo; a=",
            "foo; a= ;b",
            "foo; =1",
            "foo bar",
            "foo; a b",
            "foo; a=1 2",
            "foo; a=\"",
            "foo; a=\"\"",
            "foo; a=\"1",
            "foo; a=\"1 2\"",
            "foo; a=\"1\\",
            "foo; a=\"1\\\"",
            "foo; a=\"1\"2",
            "foo; a=\"\\\"\"",
            "foo; a=\"\\\\\"",
            "foo=1",
            "\"foo\"",
            "foo; a=\"é\"",
            "foo; é",
            "fo\0o",
        ] {
            assert_eq!(extensions(value), Err(MalformedList), "{value}");
        }
    }

    /// Looks at each byte a bounded number of times, whatever the value holds: twice as long, twice the work.
    #[test]
    fn h03_list_headers_take_linear_time() {
        for unit in [" ", "\t", "\"", "\\", "a", ",", ";", "a,", "a;b,", "a;b=\"\\c\",", "a;b=c;", "\\\"", "=", "é"] {
            for (start, end) in [("", ""), ("b", "x"), ("b;c=\"", "\""), ("b;c=\"", "x"), ("b;", "=")] {
                let value = [start, &unit.repeat(8192), end].concat();
                let (mut tokens, mut extensions) = (TokenList::new(&value), ExtensionList::new(&value));
                while tokens.next().is_some() {}
                while extensions.next().is_some() {}
                let most = 4 * value.len() + 16;
                assert!(tokens.0.looks <= most, "{} looks for {} bytes of {unit:?}", tokens.0.looks, value.len());
                assert!(extensions.0.looks <= most, "{} looks, {} bytes of {unit:?}", extensions.0.looks, value.len());
            }
        }
    }
}

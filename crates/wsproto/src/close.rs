//! Why a connection ends: the close code and the reason (RFC 6455 §5.5.1, §7.4).

use alloc::borrow::Cow;
use core::fmt;

/// A close code that may stand in a Close frame (RFC 6455 §7.4).
///
/// A value of this type exists only for the codes that may be sent: 1000–1003 and 1007–1014, as registered
/// with IANA, 3000–3999 (for libraries and frameworks) and 4000–4999 (for applications). The codes 1005, 1006
/// and 1015 are for reporting only ("MUST NOT be set as a status code in a Close control frame", §7.4.1), so
/// they are not here: a Close frame without a code is [`CloseFrame::code`] = `None`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the endpoint goes away: a server shuts down, a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: a kind of data that the endpoint does not take, such as binary where it wants text.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1007: data that does not fit its kind, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a policy was violated, where no other code fits.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: a message is too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the client wanted an extension that the server did not negotiate.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: the service is overloaded; try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from the server behind it.
    pub const BAD_GATEWAY: Self = Self(1014);

    /// The close code with this number, or `None` where it must not stand in a Close frame.
    ///
    /// Source of the ranges: RFC 6455 §7.4 and the IANA registry "WebSocket Close Code Number".
    #[must_use]
    pub const fn new(code: u16) -> Option<Self> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(Self(code)),
            _ => None,
        }
    }

    /// The number, 1000 to 4999.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> u16 {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a Close frame says: a code and a reason, or nothing (RFC 6455 §5.5.1).
///
/// A received frame borrows its reason from the caller's input.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CloseFrame<'a> {
    code: Option<CloseCode>,
    reason: Cow<'a, str>,
}

impl<'a> CloseFrame<'a> {
    /// Longest reason, in bytes: a control payload of 125 (RFC 6455 §5.5) less the code.
    pub const MAX_REASON: usize = 123;

    /// A Close frame with a code and a reason (may be empty), which is cut to [`MAX_REASON`](Self::MAX_REASON) bytes at a
    /// character boundary.
    pub fn new(code: CloseCode, reason: impl Into<Cow<'a, str>>) -> Self {
        Self { code: Some(code), reason: cut(reason.into()) }
    }

    /// A Close frame without a body. The peer's API reports it as 1005.
    #[must_use]
    pub const fn empty() -> Self {
        Self { code: None, reason: Cow::Borrowed("") }
    }

    /// The code, or `None` where the frame has no body (what RFC 6455 §7.1.5 calls 1005).
    #[must_use]
    pub const fn code(&self) -> Option<CloseCode> {
        self.code
    }

    /// The reason, at most [`MAX_REASON`](Self::MAX_REASON) bytes; empty where there is none.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The same frame, independent of the input it was borrowed from.
    #[must_use]
    pub fn into_owned(self) -> CloseFrame<'static> {
        CloseFrame { code: self.code, reason: Cow::Owned(self.reason.into_owned()) }
    }
}

/// "All control frames MUST have a payload length of 125 bytes or less" (§5.5), and the reason must stay valid UTF-8.
fn cut(reason: Cow<'_, str>) -> Cow<'_, str> {
    if reason.len() <= CloseFrame::MAX_REASON {
        return reason;
    }
    let end = (0..=CloseFrame::MAX_REASON).rev().find(|&i| reason.is_char_boundary(i)).unwrap_or(0);
    match reason {
        Cow::Borrowed(reason) => Cow::Borrowed(&reason[..end]),
        Cow::Owned(mut reason) => {
            reason.truncate(end);
            Cow::Owned(reason)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_long_reason_is_cut_at_a_character_boundary() {
        let code = CloseCode::NORMAL;
        let long = "é".repeat(62); // 124 bytes: the last character does not fit whole
        assert_eq!(CloseFrame::new(code, long.as_str()).reason(), "é".repeat(61));
        assert_eq!(CloseFrame::new(code, long).reason(), "é".repeat(61));
        let fits = "x".repeat(CloseFrame::MAX_REASON);
        assert_eq!(CloseFrame::new(code, fits.as_str()).reason(), fits);
        assert_eq!(CloseFrame::new(code, "").reason(), "");
    }

    #[test]
    fn codes_show_as_numbers() {
        assert_eq!(CloseCode::BAD_GATEWAY.to_string(), "1014");
        assert_eq!(u16::from(CloseCode::BAD_GATEWAY), 1014);
    }
}

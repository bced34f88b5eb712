//! Frames: a header of 24 bytes and a payload, in the host's byte order.
//!
//! Source: the structures of NetBSD's `lib/librumpuser/sp_common.c` (`struct rsp_hdr`,
//! `rsp_copydata`, `rsp_sysresp`, `handshake_fork`), as their C definitions lie in memory.

/// The size of a header.
pub const HEADER: usize = 24;

/// The most bytes of a banner, its newline included.
pub const BANNER: usize = 96;

/// Makes an enum of the numbers that stand in a field of a header.
macro_rules! numbers {
    ($(#[$doc:meta])* $name:ident: $ty:ty { $($(#[$vdoc:meta])* $variant:ident = $number:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr($ty)]
        pub enum $name { $($(#[$vdoc])* $variant = $number,)+ }

        impl $name {
            /// What the number means; `None` when it means nothing.
            pub const fn from_number(number: $ty) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

numbers! {
    /// What a frame is to its receiver.
    Class: u16 {
        /// Something is asked for.
        Request = 0,
        /// The answer.
        Response = 1,
        /// The request was not carried out: [`Fault`].
        Error = 2,
    }
}

numbers! {
    /// What a frame is about.
    Kind: u16 {
        /// Who the client is: [`Handshake`].
        Handshake = 0,
        /// A system call; its number is the header's value.
        Syscall = 1,
        /// Bytes out of the client's memory.
        Copyin = 2,
        /// A string out of the client's memory.
        Copyinstr = 3,
        /// Bytes into the client's memory. Not answered.
        Copyout = 4,
        /// A string into the client's memory. Nobody sends it.
        Copyoutstr = 5,
        /// New memory of the client's.
        Anonmmap = 6,
        /// A child of the client, which another connection is to take over.
        Prefork = 7,
        /// A signal for the client; its number is the header's value.
        Raise = 8,
    }
}

numbers! {
    /// Which handshake.
    Handshake: u32 {
        /// A new client.
        Guest = 0,
        /// By a secret. Refused, as everywhere.
        Auth = 1,
        /// The child of a client.
        Fork = 2,
        /// The same client, in another program.
        Exec = 3,
    }
}

numbers! {
    /// Why a request was not carried out.
    Fault: u32 {
        /// Not now.
        TryAgain = 1,
        /// It is not allowed, or comes before the handshake.
        Auth = 2,
        /// There is no such child to take over.
        Prefork = 3,
        /// No child could be made.
        Rfork = 4,
        /// The client is about to become another program.
        InExec = 5,
        /// No memory.
        NoMemory = 6,
        /// It cannot be understood.
        Malformed = 7,
    }
}

/// What stands in front of each frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Header {
    /// Of the whole frame, in bytes.
    pub len: u64,
    /// The number of the request, its sender's. An answer has that of what it answers.
    pub request: u64,
    /// A [`Class`], if it is one.
    pub class: u16,
    /// A [`Kind`], if it is one.
    pub kind: u16,
    /// Call number, fault, handshake or signal.
    pub value: u32,
}

impl Header {
    /// For a frame with that many bytes of payload.
    pub fn new(class: Class, kind: Kind, request: u64, value: u32, payload: usize) -> Self {
        let len = (HEADER as u64).saturating_add(payload as u64);
        Self { len, request, class: class as u16, kind: kind as u16, value }
    }

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&self.len.to_ne_bytes());
        bytes[8..16].copy_from_slice(&self.request.to_ne_bytes());
        bytes[16..18].copy_from_slice(&self.class.to_ne_bytes());
        bytes[18..20].copy_from_slice(&self.kind.to_ne_bytes());
        bytes[20..].copy_from_slice(&self.value.to_ne_bytes());
        bytes
    }

    /// As it was sent.
    pub fn from_bytes(bytes: &[u8; HEADER]) -> Self {
        let at = |i: usize| u64_at(bytes, i).unwrap_or_default();
        let small = |i: usize| u16::from_ne_bytes([bytes[i], bytes[i + 1]]);
        let value = u32::from_ne_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]);
        Self { len: at(0), request: at(8), class: small(16), kind: small(18), value }
    }
}

/// The number at an offset; `None` beyond the end.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    let end = offset.checked_add(8)?;
    Some(u64::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// The number at an offset; `None` beyond the end.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let end = offset.checked_add(4)?;
    Some(u32::from_ne_bytes(bytes.get(offset..end)?.try_into().ok()?))
}

/// Appends a frame.
pub fn put(out: &mut Vec<u8>, class: Class, kind: Kind, request: u64, value: u32, parts: &[&[u8]]) {
    let payload = parts.iter().map(|part| part.len()).sum();
    out.extend_from_slice(&Header::new(class, kind, request, value, payload).to_bytes());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// The answer to a system call: an error number, 4 bytes of padding that are zero, and two
/// registers (`struct rsp_sysresp`).
pub fn sysresp(error: i32, values: [i64; 2]) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&error.to_ne_bytes());
    bytes[8..16].copy_from_slice(&values[0].to_ne_bytes());
    bytes[16..].copy_from_slice(&values[1].to_ne_bytes());
    bytes
}

/// A frame that has come whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// Its header.
    pub header: Header,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// What the beginning of some bytes is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed<'a> {
    /// Not yet a frame.
    More,
    /// A frame, and how many bytes it has.
    Frame(Frame<'a>, usize),
    /// No frame that is accepted: its length says less than a header, or more than the most.
    Bad(Header),
}

/// Looks for a frame of at most `most` bytes at the beginning of `bytes`. It reads no byte
/// that is not there, and never panics.
pub fn parse(bytes: &[u8], most: usize) -> Parsed<'_> {
    let Some(head) = bytes.first_chunk::<HEADER>() else { return Parsed::More };
    let header = Header::from_bytes(head);
    match usize::try_from(header.len) {
        Ok(len) if (HEADER..=most).contains(&len) => match bytes.get(HEADER..len) {
            Some(payload) => Parsed::Frame(Frame { header, payload }, len),
            None => Parsed::More,
        },
        _ => Parsed::Bad(header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_lies_as_in_c() {
        // `struct rsp_hdr`: u64 rsp_len, u64 rsp_reqno, u16 rsp_class, u16 rsp_type, u32 u.
        let header = Header::new(Class::Request, Kind::Raise, 0x0102, 9, 3);
        let bytes = header.to_bytes();
        assert_eq!(u64_at(&bytes, 0), Some(27));
        assert_eq!(u64_at(&bytes, 8), Some(0x0102));
        assert_eq!(bytes[16..18], 0u16.to_ne_bytes());
        assert_eq!(bytes[18..20], 8u16.to_ne_bytes());
        assert_eq!(u32_at(&bytes, 20), Some(9));
        assert_eq!(Header::from_bytes(&bytes), header);
    }

    #[test]
    fn an_answer_has_zeroes_for_padding() {
        let bytes = sysresp(-1, [1, -2]);
        assert_eq!(bytes[..4], (-1i32).to_ne_bytes());
        assert_eq!(bytes[4..8], [0; 4]);
        assert_eq!((u64_at(&bytes, 8), u64_at(&bytes, 16)), (Some(1), Some(-2i64 as u64)));
    }

    #[test]
    fn a_frame_is_found_when_it_is_whole() {
        let mut bytes = Vec::new();
        put(&mut bytes, Class::Request, Kind::Syscall, 7, 20, &[b"ab", b"c"]);
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut], 64), Parsed::More);
        }
        bytes.push(0xff); // of the next one
        let Parsed::Frame(frame, 27) = parse(&bytes, 64) else { panic!("a frame") };
        assert_eq!((frame.header.request, frame.header.value, frame.payload), (7, 20, &b"abc"[..]));
    }

    #[test]
    fn lengths_out_of_bounds_are_bad_at_once() {
        let with =
            |len: u64| Header { len, ..Header::new(Class::Request, Kind::Syscall, 1, 20, 0) };
        for len in [0, 1, 23, 65, 1 << 40, u64::MAX] {
            let header = with(len);
            assert_eq!(parse(&header.to_bytes(), 64), Parsed::Bad(header));
        }
        for len in [25, 64] {
            assert_eq!(parse(&with(len).to_bytes(), 64), Parsed::More);
        }
        assert!(matches!(parse(&with(24).to_bytes(), 64), Parsed::Frame(_, 24)));
    }
}

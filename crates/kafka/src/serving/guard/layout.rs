//! The layout of the structs of a request.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

/// A version of a request, and how it is encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoding {
    pub(super) version: i16,
    /// Whether lengths are varints ("compact"), and structs have tagged fields.
    pub(super) is_flexible: bool,
}

/// The layout of a struct.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// The bytes of the decoded struct, without what its pointers lead to.
    pub(super) memory: usize,
    pub(super) fields: &'static [Field],
    /// Prints a decoded struct, for the test that no field is missing.
    #[cfg(test)]
    pub(super) print: fn() -> String,
}

/// A field of a struct.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) since: i16,
    pub(super) until: i16,
    /// The number of a tagged field; `None` if the field has a fixed place.
    pub(super) tag: Option<u32>,
    pub(super) kind: Kind,
    pub(super) is_nullable: bool,
}

/// The type of a field.
#[derive(Debug)]
pub(super) enum Kind {
    /// A number, a boolean or a UUID of this many bytes.
    Fixed(usize),
    String,
    /// Bytes that the server copies.
    Bytes,
    /// Bytes that remain a slice of the body.
    Records,
    Struct(&'static Shape),
    Array(&'static Kind),
}

impl Shape {
    /// Returns the least bytes of an encoded struct.
    fn least(&self, encoding: Encoding) -> usize {
        let fields = self.fields.iter().filter(|field| field.has_place(encoding.version));
        let fields: usize = fields.map(|field| field.least(encoding)).sum();
        fields + usize::from(encoding.is_flexible)
    }
}

impl Field {
    pub(super) fn is_in(&self, version: i16) -> bool {
        (self.since..=self.until).contains(&version)
    }

    /// Returns whether the field is in the version and is not a tagged one.
    pub(super) fn has_place(&self, version: i16) -> bool {
        self.tag.is_none() && self.is_in(version)
    }

    fn least(&self, encoding: Encoding) -> usize {
        match self.kind {
            Kind::Struct(_) if self.is_nullable => 1,
            _ => self.kind.least(encoding),
        }
    }
}

impl Kind {
    /// Returns the bytes of a decoded value within its array.
    pub(super) fn memory(&self) -> usize {
        match self {
            Kind::Fixed(bytes) => *bytes,
            Kind::String => size_of::<StrBytes>(),
            Kind::Bytes | Kind::Records => size_of::<Bytes>(),
            Kind::Struct(shape) => shape.memory,
            Kind::Array(_) => size_of::<Vec<u8>>(),
        }
    }

    /// Returns the least bytes of an encoded value.
    pub(super) fn least(&self, encoding: Encoding) -> usize {
        match self {
            Kind::Fixed(bytes) => *bytes,
            Kind::Struct(shape) => shape.least(encoding),
            _ if encoding.is_flexible => 1,
            Kind::String => 2,
            Kind::Bytes | Kind::Records | Kind::Array(_) => 4,
        }
    }
}

/// A struct of a request with a known layout.
pub(super) trait Layout {
    const SHAPE: &'static Shape;
}

/// Defines the layouts of structs: for each field its versions, its tag, its name and its type, in the order
/// of the encoding. The compiler checks that the decoded struct has a field of this name.
macro_rules! layouts {
    ($($name:ident { $([$($versions:tt)+] $field:ident: $kind:tt $(or $null:ident)?;)* })+) => {
        $(impl $crate::serving::guard::layout::Layout for $name {
            const SHAPE: &'static $crate::serving::guard::layout::Shape =
                &$crate::serving::guard::layout::Shape {
                    name: stringify!($name),
                    memory: size_of::<$name>(),
                    fields: &[$({
                        _ = std::mem::offset_of!($name, $field);
                        let (since, until, tag) = layouts!(@versions $($versions)+);
                        $crate::serving::guard::layout::Field {
                            name: stringify!($field),
                            since,
                            until,
                            tag,
                            kind: layouts!(@kind $kind),
                            is_nullable: layouts!(@null $($null)?),
                        }
                    }),*],
                    #[cfg(test)]
                    print: || format!("{:#?}", $name::default()),
                };
        })+
    };
    (@versions $since:literal +) => { ($since, i16::MAX, None) };
    (@versions $since:literal - $until:literal) => { ($since, $until, None) };
    (@versions $since:literal + tag $tag:literal) => { ($since, i16::MAX, Some($tag)) };
    (@kind bool) => { $crate::serving::guard::layout::Kind::Fixed(1) };
    (@kind int8) => { $crate::serving::guard::layout::Kind::Fixed(1) };
    (@kind int16) => { $crate::serving::guard::layout::Kind::Fixed(2) };
    (@kind int32) => { $crate::serving::guard::layout::Kind::Fixed(4) };
    (@kind int64) => { $crate::serving::guard::layout::Kind::Fixed(8) };
    (@kind uuid) => { $crate::serving::guard::layout::Kind::Fixed(16) };
    (@kind string) => { $crate::serving::guard::layout::Kind::String };
    (@kind bytes) => { $crate::serving::guard::layout::Kind::Bytes };
    (@kind records) => { $crate::serving::guard::layout::Kind::Records };
    (@kind [$element:tt]) => {
        $crate::serving::guard::layout::Kind::Array(&layouts!(@kind $element))
    };
    (@kind $name:ident) => {
        $crate::serving::guard::layout::Kind::Struct(
            <$name as $crate::serving::guard::layout::Layout>::SHAPE,
        )
    };
    (@null) => { false };
    (@null null) => { true };
}

pub(super) use layouts;

//! [`wire!`]: declares messages, each once for all its versions.
//!
//! ```text
//!   wire! {
//!       /// What it is.
//!       pub(crate) struct Message {
//!           [0+]            a: i32,                  in every version
//!           [3-7]           b: Option<Str>,          in versions 3 to 7; null in all of them
//!           [0+ null 2+]    c: Option<Vec<Part>>,    before version 2 it must not be null
//!           [4+]            d: i64 = -1,             with a default of its own; else the type's, and None
//!           [5+ tag 0]      e: Vec<Str>,             a tagged field, written unless it has its default
//!       }
//!   }
//! ```
//! Field names are Kafka's. The struct gets `Default` with Kafka's defaults (and `None` for what can be null), and
//! [`Message`](super::Message): read, write, the least size. Fields that a version does not have are neither written nor
//! read. Tagged fields stand in ascending order.

macro_rules! wire {
    ($(
        $(#[$doc:meta])*
        pub(crate) struct $name:ident {
            $( [$($spec:tt)+] $field:ident : $type:ty $(= $default:expr)? ),* $(,)?
        }
    )+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) struct $name {
            $( pub(crate) $field: $type, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: wire!(@default $($default)?), )* }
            }
        }

        #[allow(unused_variables, reason = "a struct may have no fields, or no tagged ones")]
        impl $crate::wire::Message for $name {
            const LEAST: usize = 0 $( + wire!(@least $type, [$($spec)+]) )*;

            fn read_into(
                &mut self,
                reader: &mut $crate::wire::Reader,
                version: $crate::wire::Version,
            ) -> $crate::wire::reader::Result<()> {
                $( wire!(@read reader, version, self, $name.$field [$($spec)+]); )*
                if version.flexible {
                    reader.tags(stringify!($name), &mut |reader, tag| {
                        $( wire!(@read_tag reader, version, tag, self, $name.$field [$($spec)+]); )*
                        Ok(false)
                    })?;
                }
                Ok(())
            }

            fn write(&self, writer: &mut $crate::wire::Writer, version: $crate::wire::Version) {
                $( wire!(@write writer, version, self, $name.$field [$($spec)+]); )*
                if version.flexible {
                    let tags = writer.tags();
                    $( wire!(@write_tag writer, version, tags, self, $name.$field [$($spec)+] [$($default)?]); )*
                }
            }

            fn codes(&self, note: &mut dyn FnMut(i16)) {
                $( wire!(@codes self, note, $field); )*
            }

            fn throttle(&mut self, millis: i32) {
                $( wire!(@throttle self, millis, $field); )*
            }
        }
    )+};

    (@default) => { Default::default() };
    (@default $default:expr) => { $default };

    // What is done to fields by their names.
    (@codes $self:ident, $note:ident, error_code) => { $note($self.error_code); };
    (@codes $self:ident, $note:ident, partition_error_code) => { $note($self.partition_error_code); };
    (@codes $self:ident, $note:ident, $field:ident) => { $crate::wire::field::Field::codes(&$self.$field, $note); };
    (@throttle $self:ident, $millis:ident, throttle_time_ms) => { $self.throttle_time_ms = $millis; };
    (@throttle $self:ident, $millis:ident, $field:ident) => {};

    // Where a field is: its names and its versions.
    (@place $name:ident.$field:ident [$($spec:tt)+]) => {
        &const {
            let (from, to, null_from) = wire!(@versions $($spec)+);
            $crate::wire::version::Place::new(stringify!($name), stringify!($field), from, to, null_from)
        }
    };
    (@versions $from:literal +) => { ($from, i16::MAX, 0) };
    (@versions $from:literal - $to:literal) => { ($from, $to, 0) };
    (@versions $from:literal + null $null:literal +) => { ($from, i16::MAX, $null) };
    (@versions $from:literal - $to:literal null $null:literal +) => { ($from, $to, $null) };
    (@versions $from:literal + tag $tag:literal) => { ($from, i16::MAX, 0) };

    // What a field adds to the least size: nothing where some version leaves it out.
    (@least $type:ty, [0 +]) => { <$type as $crate::wire::field::Field>::LEAST };
    (@least $type:ty, [0 + null $null:literal +]) => { <$type as $crate::wire::field::Field>::LEAST };
    (@least $type:ty, $spec:tt) => { 0 };

    // The parts of each function for one field, first for tagged fields, then for the others.
    (@read $r:ident, $version:ident, $message:ident, $name:ident.$field:ident [$from:literal + tag $tag:literal]) => {};
    (@read $r:ident, $version:ident, $message:ident, $name:ident.$field:ident $spec:tt) => {
        let place = wire!(@place $name.$field $spec);
        if place.exists($version) {
            $crate::wire::field::Field::read_into(&mut $message.$field, $r, $version, place)?;
        }
    };

    (@read_tag $r:ident, $version:ident, $number:ident, $message:ident,
     $name:ident.$field:ident [$from:literal + tag $tag:literal]) => {
        let place = wire!(@place $name.$field [$from + tag $tag]);
        if $number == $tag && place.exists($version) {
            $crate::wire::field::Field::read_into(&mut $message.$field, $r, $version, place)?;
            return Ok(true);
        }
    };
    (@read_tag $r:ident, $version:ident, $number:ident, $message:ident, $name:ident.$field:ident $spec:tt) => {};

    (@write $w:ident, $version:ident, $self:ident, $name:ident.$field:ident [$from:literal + tag $tag:literal]) => {};
    (@write $w:ident, $version:ident, $self:ident, $name:ident.$field:ident $spec:tt) => {
        let place = wire!(@place $name.$field $spec);
        if place.exists($version) {
            $crate::wire::field::Field::write(&$self.$field, $w, $version, place);
        }
    };

    (@write_tag $w:ident, $version:ident, $tags:ident, $self:ident,
     $name:ident.$field:ident [$from:literal + tag $tag:literal] [$($default:expr)?]) => {
        let place = wire!(@place $name.$field [$from + tag $tag]);
        if place.exists($version) && $crate::wire::field::differ(&$self.$field, &wire!(@default $($default)?)) {
            $w.tag($tags, $tag, |w| $crate::wire::field::Field::write(&$self.$field, w, $version, place));
        }
    };
    (@write_tag $w:ident, $version:ident, $tags:ident, $self:ident, $name:ident.$field:ident $spec:tt $default:tt) => {};
}
pub(super) use wire;

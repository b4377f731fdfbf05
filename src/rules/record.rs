//! Records: structs of named fields of one type, which the device sees as an array in field order.

/// A struct whose fields all have type `T`; made by `record!`.
pub trait Record<T>: Sized {
    /// The names of the fields, in order.
    const NAMES: &'static [&'static str];

    /// The same fields, of another type.
    type Of<U>: Record<U>;

    /// A record of `f(0), f(1), ...`, called in field order.
    fn from_fn(f: impl FnMut(usize) -> T) -> Self;

    /// The field at a position. Panics beyond the last.
    fn nth(&self, position: usize) -> &T;

    /// Element `i` of each column.
    fn gather<const N: usize>(columns: &Self::Of<[T; N]>, i: usize) -> Self
    where
        T: Copy;

    /// Writes each field to element `i` of its column.
    fn scatter<const N: usize>(self, columns: &mut Self::Of<[T; N]>, i: usize);
}

/// `record! { pub struct State { m, v } }`: a struct `State<T>` of fields `m` and `v`, and its [`Record`].
macro_rules! record {
    ($(#[$meta:meta])* pub struct $Name:ident { $($field:ident),* $(,)? }) => {
        $(#[$meta])*
        #[doc = concat!("The record `", stringify!($Name), "` of this rule: its fields are the letters of the formula.")]
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub struct $Name<T> { $(pub $field: T),* }

        impl<T> $crate::rules::Record<T> for $Name<T> {
            const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];
            type Of<U> = $Name<U>;

            #[inline(always)]
            fn from_fn(mut f: impl FnMut(usize) -> T) -> Self {
                let mut position = 0..;
                $(let $field = f(position.next().unwrap_or_default());)*
                Self { $($field),* }
            }

            #[inline(always)]
            fn nth(&self, position: usize) -> &T {
                [$(&self.$field),*][position]
            }

            #[inline(always)]
            fn gather<const N: usize>(columns: &$Name<[T; N]>, i: usize) -> Self
            where
                T: Copy,
            {
                Self { $($field: columns.$field[i]),* }
            }

            #[inline(always)]
            fn scatter<const N: usize>(self, columns: &mut $Name<[T; N]>, i: usize) {
                $(columns.$field[i] = self.$field;)*
            }
        }
    };
}
pub(crate) use record;

/// A record of no fields: the carry of a rule that remembers no scalar, the state of a rule that keeps none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nothing<T>(std::marker::PhantomData<T>);

impl<T> Record<T> for Nothing<T> {
    const NAMES: &'static [&'static str] = &[];
    type Of<U> = Nothing<U>;

    fn from_fn(_: impl FnMut(usize) -> T) -> Self {
        Self(std::marker::PhantomData)
    }

    fn nth(&self, position: usize) -> &T {
        panic!("field {position} of a record without fields")
    }

    fn gather<const N: usize>(_: &Nothing<[T; N]>, _: usize) -> Self
    where
        T: Copy,
    {
        Self(std::marker::PhantomData)
    }

    fn scatter<const N: usize>(self, _: &mut Nothing<[T; N]>, _: usize) {}
}

//! Typed views of a table: a struct whose fields each name their key once.

macro_rules! typed {
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$field_doc:meta])* $field:ident: $kind:ident = $key:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Debug)]
        pub struct $name {
            $($(#[$field_doc])* #[doc = concat!("`", $key, "`")] pub $field: typed!(@type $kind),)*
        }

        impl $name {
            pub(crate) fn from_values(values: &crate::values::Values) -> Self {
                Self { $($field: values.$kind($key),)* }
            }
        }
    };
    (@type boolean) => { bool };
    (@type short) => { i16 };
    (@type int) => { i32 };
    (@type opt_int) => { Option<i32> };
    (@type long) => { i64 };
    (@type opt_long) => { Option<i64> };
    (@type double) => { f64 };
    (@type string) => { String };
    (@type opt_string) => { Option<String> };
    (@type list) => { Vec<String> };
    (@type opt_list) => { Option<Vec<String>> };
}

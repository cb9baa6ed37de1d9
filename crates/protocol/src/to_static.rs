//! From borrowed to owned, element by element.

use std::borrow::Cow;

use crate::Records;

pub trait ToStatic {
    type Static;
    fn to_static(self) -> Self::Static;
}

impl ToStatic for Cow<'_, str> {
    type Static = Cow<'static, str>;
    fn to_static(self) -> Self::Static {
        Cow::Owned(self.into_owned())
    }
}

impl ToStatic for Cow<'_, [u8]> {
    type Static = Cow<'static, [u8]>;
    fn to_static(self) -> Self::Static {
        Cow::Owned(self.into_owned())
    }
}

impl ToStatic for Records<'_> {
    type Static = Records<'static>;
    fn to_static(self) -> Self::Static {
        self.into_owned()
    }
}

impl<T: ToStatic> ToStatic for Option<T> {
    type Static = Option<T::Static>;
    fn to_static(self) -> Self::Static {
        self.map(T::to_static)
    }
}

impl<T: ToStatic> ToStatic for Vec<T> {
    type Static = Vec<T::Static>;
    fn to_static(self) -> Self::Static {
        self.into_iter().map(T::to_static).collect()
    }
}

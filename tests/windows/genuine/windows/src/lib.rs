//! Stand-in for the `windows` crate on machines that are not Windows: a registry in which no key exists. wdk-build asks it
//! for the WDK's folder after WDKContentRoot.
#![allow(non_snake_case)]

pub mod core {
    /// A NUL-terminated string, never read here.
    #[derive(Clone, Copy)]
    pub struct PCSTR(pub *const u8);

    pub use crate::s;
}

/// A string literal as a [`core::PCSTR`].
#[macro_export]
macro_rules! s {
    ($text:literal) => {
        $crate::core::PCSTR(concat!($text, "\0").as_ptr())
    };
}

pub mod Win32 {
    pub mod System {
        pub mod Registry {
            use crate::core::PCSTR;

            #[derive(Clone, Copy, Default)]
            pub struct HKEY(pub usize);
            pub struct Rights(pub u32);
            pub struct Kinds(pub u32);

            pub const HKEY_LOCAL_MACHINE: HKEY = HKEY(0x8000_0002);
            pub const KEY_READ: Rights = Rights(0x0002_0019);
            pub const RRF_RT_REG_SZ: Kinds = Kinds(2);

            /// What a registry function returns.
            #[must_use]
            pub struct Answer(u32);

            impl Answer {
                /// ERROR_FILE_NOT_FOUND
                const NOT_FOUND: Answer = Answer(2);

                pub fn is_ok(&self) -> bool {
                    self.0 == 0
                }

                pub fn ok(self) -> Result<(), u32> {
                    if self.0 == 0 { Ok(()) } else { Err(self.0) }
                }
            }

            /// # Safety
            ///
            /// None needed: it touches nothing.
            pub unsafe fn RegOpenKeyExA(_: HKEY, _: PCSTR, _: Option<u32>, _: Rights, _: *mut HKEY) -> Answer {
                Answer::NOT_FOUND
            }

            /// # Safety
            ///
            /// None needed: it touches nothing.
            pub unsafe fn RegGetValueA(
                _: HKEY,
                _: Option<PCSTR>,
                _: PCSTR,
                _: Kinds,
                _: Option<*mut u32>,
                _: Option<*mut std::ffi::c_void>,
                _: Option<*mut u32>,
            ) -> Answer {
                Answer::NOT_FOUND
            }

            /// # Safety
            ///
            /// None needed: it touches nothing.
            pub unsafe fn RegCloseKey(_: HKEY) -> Answer {
                Answer::NOT_FOUND
            }
        }
    }
}

// Included by both layout crates: what the assertions are made of.

/// The size of what a projection of a pointer points at.
const fn size_behind<T, U>(_: fn(*const T) -> *const U) -> usize {
    size_of::<U>()
}

/// What a call needs to agree on: the sizes of the result and of each argument.
trait Shape {
    const SIZES: &'static [usize];
}

/// The same of a pointer in KMDF's table, without the driver's globals, which come first.
#[allow(dead_code)]
trait WdfShape {
    const SIZES: &'static [usize];
}

const fn sizes<F: Shape>(_: &F) -> &'static [usize] {
    F::SIZES
}

const fn same(a: &[usize], b: &[usize]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

macro_rules! shapes {
    ($(($($a:ident)*))*) => {
        $(
            impl<R, $($a),*> Shape for unsafe fn($($a),*) -> R {
                const SIZES: &'static [usize] = &[size_of::<R>() $(, size_of::<$a>())*];
            }
            impl<R, $($a),*> Shape for unsafe extern "C" fn($($a),*) -> R {
                const SIZES: &'static [usize] = &[size_of::<R>() $(, size_of::<$a>())*];
            }
            impl<R, $($a),*> Shape for unsafe extern "system" fn($($a),*) -> R {
                const SIZES: &'static [usize] = &[size_of::<R>() $(, size_of::<$a>())*];
            }
            impl<R, Globals, $($a),*> WdfShape for Option<unsafe extern "C" fn(Globals, $($a),*) -> R> {
                const SIZES: &'static [usize] = &[size_of::<R>() $(, size_of::<$a>())*];
            }
        )*
    };
}

shapes! { () (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

include!(concat!(env!("OUT_DIR"), "/checks.rs"));

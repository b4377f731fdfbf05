//! What callers pass by address. Everything that reads or writes their memory is here.
//!
//! The types are made by callers of the C interface alone (their fields are private, and they have no constructors): what
//! the driver API asks of a pointer is what a caller promised by passing it. That is the argument of every `unsafe` below.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt;

use super::error::{Answer, Code};

/// Where a result goes.
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Errors: a null pointer.
    pub fn set(&self, value: T) -> Answer {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: not null, and the caller passed it to have a `T` written to it. It need not be initialised.
        unsafe { self.0.write(value) };
        Ok(())
    }

    /// Writes where the caller wants the result; several are optional.
    pub fn set_if_wanted(&self, value: T) {
        let _ = self.set(value);
    }
}

impl Out<c_char> {
    /// A text of at most `length` bytes with its NUL. Errors: a null pointer or no room.
    pub fn set_text(&self, text: &str, length: i32) -> Answer {
        let length = usize::try_from(length).ok().filter(|&length| length > 0).ok_or(Code::INVALID_VALUE)?;
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let bytes = &text.as_bytes()[..text.len().min(length - 1)];
        // SAFETY: not null, and the caller has `length` bytes there; at most that many are written.
        unsafe {
            self.0.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            self.0.add(bytes.len()).write(0);
        }
        Ok(())
    }
}

impl Out<c_void> {
    /// A value whose type another argument of the call tells. Errors: a null pointer.
    pub fn set_as<T>(&self, value: T) -> Answer {
        Out(self.0.cast::<T>()).set(value)
    }

    /// Reads the value there, whose type another argument of the call tells. Errors: a null pointer.
    pub fn get_as<T: Copy>(&self) -> Result<T, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: not null, and the caller passed it to have a `T` of plain bytes read.
        Ok(unsafe { self.0.cast::<T>().read_unaligned() })
    }
}

/// A text that ends with a NUL.
#[repr(transparent)]
pub struct Text(*const c_char);

impl Text {
    /// Errors: a null pointer, or not UTF-8.
    pub fn read(&self) -> Result<String, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: not null, and the caller passed a text that ends with a NUL; it is copied before the call returns.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map(str::to_owned).map_err(|_| Code::INVALID_VALUE)
    }
}

/// A module: text of PTX that ends with a NUL, or a binary, which begins otherwise.
#[repr(transparent)]
pub struct Image(*const c_void);

impl Image {
    /// The text. Errors: a null pointer, or a binary, which is for another device than this.
    pub fn ptx(&self) -> Result<String, Code> {
        /// The first bytes of ELF files and of fat binaries.
        const BINARIES: [[u8; 4]; 3] = [*b"\x7fELF", [0x50, 0xed, 0x55, 0xba], [0xb1, 0x43, 0x62, 0x46]];
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        let mut first = Vec::new();
        while first.len() < 4 {
            // SAFETY: an image has at least as many bytes as a text has before its NUL and with it, and every binary
            // has four; no byte behind a NUL is read.
            let byte = unsafe { self.0.cast::<u8>().add(first.len()).read() };
            if byte == 0 {
                return Err(Code::INVALID_IMAGE);
            }
            first.push(byte);
        }
        if BINARIES.iter().any(|magic| first == magic) {
            return Err(Code::NO_BINARY_FOR_GPU);
        }
        Text(self.0.cast()).read().map_err(|_| Code::INVALID_IMAGE)
    }
}

/// Host memory that is copied from.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct HostSource(*const c_void);

/// Host memory that is copied to.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct HostTarget(*mut c_void);

// SAFETY: an address that is used as the driver API says: any thread of the driver may copy from there until the copy's
// stream is past it.
unsafe impl Send for HostSource {}
// SAFETY: as above.
unsafe impl Sync for HostSource {}
// SAFETY: as above.
unsafe impl Send for HostTarget {}
// SAFETY: as above.
unsafe impl Sync for HostTarget {}

impl HostSource {
    pub fn address(self) -> u64 {
        self.0 as u64
    }

    pub fn read(self, bytes: usize) -> Vec<u8> {
        let mut copy = vec![0; bytes];
        // SAFETY: the caller of the copy has `bytes` bytes there until the copy is done. They are copied as bytes
        // through a raw pointer, so that padding and foreign references to them do no harm.
        unsafe { self.0.cast::<u8>().copy_to_nonoverlapping(copy.as_mut_ptr(), bytes) };
        copy
    }
}

impl HostTarget {
    pub fn address(self) -> u64 {
        self.0 as u64
    }

    pub fn write(self, bytes: &[u8]) {
        // SAFETY: the caller of the copy has as many bytes there, and does not look at them until the copy is done.
        unsafe { self.0.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
}

/// The values of a kernel's parameters: an array of addresses, one a parameter.
#[repr(transparent)]
pub struct Arguments(*mut *mut c_void);

impl Arguments {
    /// The bytes of parameter `index` of `bytes` bytes. Errors: a null pointer.
    pub fn read(&self, index: usize, bytes: usize) -> Result<Vec<u8>, Code> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // SAFETY: the array has an address for each parameter of the kernel, and `index` is one of them.
        let value = unsafe { self.0.add(index).read() };
        if value.is_null() {
            return Err(Code::INVALID_VALUE);
        }
        // The address of a value of the parameter's size.
        Ok(HostSource(value).read(bytes))
    }
}

/// A function of the host that a stream calls.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct HostFunction(Option<unsafe extern "C" fn(*mut c_void)>);

/// What a [`HostFunction`] is called with.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct UserData(*mut c_void);

// SAFETY: handed back to the caller's function, on a thread of the driver, as the driver API says.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl HostFunction {
    pub fn is_null(self) -> bool {
        self.0.is_none()
    }

    pub fn call(self, data: UserData) {
        if let Some(function) = self.0 {
            // SAFETY: the caller passed the function to have it called once with this address.
            unsafe { function(data.0) }
        }
    }
}

/// How many bytes of dynamic shared memory a block of a size needs.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct BlockToShared(Option<unsafe extern "C" fn(i32) -> usize>);

impl BlockToShared {
    pub fn call(self, block: i32) -> Option<usize> {
        // SAFETY: the caller passed the function to have it called with sizes of blocks.
        self.0.map(|function| unsafe { function(block) })
    }
}

macro_rules! traced {
    ($($type:ident)*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0 as usize)
            }
        }
    )*};
}

traced! {
    Image HostSource HostTarget Arguments UserData
}

impl<T> fmt::Debug for Out<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0 as usize)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.read().unwrap_or_default())
    }
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0.map_or(0, |function| function as usize))
    }
}

impl fmt::Debug for BlockToShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0.map_or(0, |function| function as usize))
    }
}

/// The options of a module that is loaded: arrays of numbers and of values, which are addresses or stand in them.
pub struct JitOptions {
    count: usize,
    names: *const u32,
    values: *mut *mut c_void,
}

impl JitOptions {
    /// `CU_JIT_ERROR_LOG_BUFFER` and its size.
    const ERROR_LOG: u32 = 5;
    const ERROR_LOG_SIZE: u32 = 6;

    pub fn new(count: u32, names: *const u32, values: *mut *mut c_void) -> Self {
        let missing = names.is_null() || values.is_null();
        Self { count: if missing { 0 } else { count as usize }, names, values }
    }

    fn value(&self, name: u32) -> Option<*mut c_void> {
        (0..self.count).find_map(|index| {
            // SAFETY: both arrays have `count` elements.
            let (found, value) = unsafe { (self.names.add(index).read(), self.values.add(index).read()) };
            (found == name).then_some(value)
        })
    }

    /// Writes a text to the buffer for errors, if the caller has one.
    pub fn tell_error(&self, message: &str) {
        let size = self.value(Self::ERROR_LOG_SIZE).map_or(0, |size| size as usize);
        if let Some(buffer) = self.value(Self::ERROR_LOG) {
            let _ = Out(buffer.cast::<c_char>()).set_text(message, i32::try_from(size).unwrap_or(i32::MAX));
        }
    }
}

/// A text that is given away, to be given back.
#[repr(transparent)]
pub struct Given(*mut c_char);

impl Given {
    /// A null pointer stands for a text that has a NUL in it, which no JSON has.
    pub fn new(text: String) -> Self {
        Self(CString::new(text).map_or(std::ptr::null_mut(), CString::into_raw))
    }

    pub fn free(self) {
        if !self.0.is_null() {
            // SAFETY: `new` made it, and whoever has it gives it back once.
            drop(unsafe { CString::from_raw(self.0) });
        }
    }
}

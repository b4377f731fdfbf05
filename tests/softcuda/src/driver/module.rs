//! Modules: PTX that is loaded.

use std::ffi::c_void;
use std::fs;
use std::sync::Arc;

use super::error::{Answer, Code};
use super::function::Function;
use super::pointer::{Image, JitOptions, Out, Text};
use super::state::{Handle, Session, current};
use crate::machine::LoadedModule;

/// A module.
pub struct Module {
    pub context: Handle,
    loaded: Arc<LoadedModule>,
}

/// The last version of PTX that a driver of CUDA 12.8 reads.
const PTX_VERSION: (u32, u32) = (8, 7);

/// The numbers behind `.version` and `.target`, where they are well-formed; the parser tells what is wrong elsewhere.
fn header(ptx: &str) -> (Option<(u32, u32)>, Option<u32>) {
    let operand = |directive: &str| {
        let mut words = ptx.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(str::split_whitespace);
        words.find(|word| *word == directive)?;
        words.next()
    };
    let version = operand(".version").and_then(|version| {
        let (major, minor) = version.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    let digits = operand(".target").and_then(|target| target.strip_prefix("sm_"));
    let target = digits.and_then(|digits| digits.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().ok());
    (version, target)
}

/// Errors: refused; why is added to the log and returned.
fn load_ptx(session: &mut Session, ptx: &str) -> Result<Handle, (Code, String)> {
    let refuse = |session: &mut Session, code: Code, message: String| {
        session.load_log.push_str(&message);
        session.load_log.push('\n');
        (code, message)
    };
    if let Err(code) = session.captures.refuse_unsafe() {
        return Err((code, String::new()));
    }
    let machine = session.machine().map_err(|code| (code, String::new()))?;
    let (version, target) = header(ptx);
    if let Some((major, minor)) = version.filter(|&version| version > PTX_VERSION) {
        let (last_major, last_minor) = PTX_VERSION;
        let message = format!(".version {major}.{minor}: PTX up to {last_major}.{last_minor} is read");
        return Err(refuse(session, Code::UNSUPPORTED_PTX_VERSION, message));
    }
    let (major, minor) = machine.profile().capability;
    if let Some(target) = target.filter(|&target| target > 10 * major + minor) {
        let message = format!(".target sm_{target}: the device is of compute capability {major}.{minor}");
        return Err(refuse(session, Code::INVALID_PTX, message));
    }
    let loaded = machine.load(ptx).map_err(|error| refuse(session, Code::INVALID_PTX, error.to_string()))?;
    let handle = session.handle();
    session.modules.insert(handle, Module { context: current(), loaded });
    Ok(handle)
}

pub fn load_data(session: &mut Session, out: Out<Handle>, image: Image) -> Answer {
    let ptx = image.ptx()?;
    let handle = load_ptx(session, &ptx).map_err(|(code, _)| code)?;
    out.set(handle)
}

/// Of the options, the buffers for errors and messages are served.
pub fn load_data_with(
    session: &mut Session,
    out: Out<Handle>,
    image: Image,
    count: u32,
    names: *const u32,
    values: *mut *mut c_void,
) -> Answer {
    let options = JitOptions::new(count, names, values);
    let ptx = image.ptx()?;
    match load_ptx(session, &ptx) {
        Ok(handle) => {
            options.tell_error("");
            out.set(handle)
        }
        Err((code, message)) => {
            options.tell_error(&message);
            Err(code)
        }
    }
}

pub fn load_file(session: &mut Session, out: Out<Handle>, path: Text) -> Answer {
    let bytes = fs::read(path.read()?).map_err(|_| Code::FILE_NOT_FOUND)?;
    if bytes.starts_with(b"\x7fELF") {
        return Err(Code::NO_BINARY_FOR_GPU);
    }
    let ptx = String::from_utf8(bytes).map_err(|_| Code::INVALID_IMAGE)?;
    let handle = load_ptx(session, &ptx).map_err(|(code, _)| code)?;
    out.set(handle)
}

pub fn unload(session: &mut Session, module: Handle) -> Answer {
    session.captures.refuse_unsafe()?;
    session.modules.remove(&module).ok_or(Code::INVALID_HANDLE)?;
    session.functions.retain(|_, function| function.of != module);
    Ok(())
}

pub fn function(session: &mut Session, out: Out<Handle>, module: Handle, name: Text) -> Answer {
    let name = name.read()?;
    let loaded = session.modules.get(&module).ok_or(Code::INVALID_HANDLE)?.loaded.clone();
    if loaded.kernel(&name).is_none() {
        return Err(Code::NOT_FOUND);
    }
    // The same function has the same handle, and what was set for it.
    let known = session.functions.iter().find(|(_, function)| function.of == module && function.name == name);
    if let Some((&handle, _)) = known {
        return out.set(handle);
    }
    let handle = session.handle();
    session.functions.insert(handle, Function::new(current(), module, name, loaded));
    out.set(handle)
}

pub fn global(session: &mut Session, address: Out<u64>, bytes: Out<usize>, module: Handle, name: Text) -> Answer {
    let name = name.read()?;
    let module = session.modules.get(&module).ok_or(Code::INVALID_HANDLE)?;
    let (found, size) = module.loaded.global(&name).ok_or(Code::NOT_FOUND)?;
    address.set_if_wanted(found);
    bytes.set_if_wanted(size as usize);
    Ok(())
}

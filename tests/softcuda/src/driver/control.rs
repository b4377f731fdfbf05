//! What those who installed the library ask of it: texts of JSON, both ways.
//!
//! Every function takes a text, which may be null where it needs none, and answers `{"Ok": ...}` or `{"Err": "..."}`; the
//! answer is given back by `softcuda_free`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::pointer::{Given, Text};
use super::queue::run_context;
use super::settings::{Injection, Settings};
use super::state::{Handle, Session};

fn answer(run: impl FnOnce(&mut Session) -> Result<Value, String>) -> Given {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut session = Session::open().map_err(str::to_owned)?;
        run(&mut session)
    }));
    let result = result.unwrap_or_else(|_| Err("softcuda panicked".to_owned()));
    Given::new(match result {
        Ok(value) => json!({ "Ok": value }).to_string(),
        Err(message) => json!({ "Err": message }).to_string(),
    })
}

fn parse<T: DeserializeOwned>(request: &Text) -> Result<T, String> {
    let text = request.read().map_err(|_| "no request".to_owned())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

fn to_value(value: impl Serialize) -> Result<Value, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

/// Executes what is enqueued.
fn finish(session: &mut Session) {
    let contexts: Vec<Handle> = session.contexts.keys().copied().collect();
    for context in contexts {
        run_context(session, context);
    }
}

// The names are the library's own, and defined here alone.
macro_rules! controls {
    ($($(#[doc = $doc:literal])* $name:ident($session:ident, $request:ident) $body:block)*) => {$(
        $(#[doc = $doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($request: Text) -> Given {
            answer(|$session| $body)
        }
    )*};
}

controls! {
    /// What was done since the last reset, as a [`Report`](super::Report).
    softcuda_report_json(session, _request) {
        session.report.allocations.live =
            session.allocations.iter().map(|(&address, allocation)| (address, allocation.bytes)).collect();
        to_value(&session.report)
    }

    /// Executes what is enqueued, then forgets what was done, faults, errors of contexts and injections; objects stay.
    softcuda_reset(session, _request) {
        finish(session);
        session.reset();
        Ok(Value::Null)
    }

    /// Takes [`Settings`].
    softcuda_configure(session, request) {
        let settings: Settings = parse(&request)?;
        finish(session);
        session.configure(settings)?;
        Ok(Value::Null)
    }

    /// The last [`Fault`](crate::check::Fault), or null; then there is none.
    softcuda_last_fault_json(session, _request) {
        to_value(session.fault.take())
    }

    /// Takes [`Injection`]s.
    softcuda_inject(session, request) {
        let injections: Vec<Injection> = parse(&request)?;
        for injection in injections {
            injection.check()?;
            session.injections.add(injection);
        }
        Ok(Value::Null)
    }

    /// Why modules were refused since the last reset, a line each.
    softcuda_load_log(session, _request) {
        to_value(&session.load_log)
    }

    /// Which build the library is of.
    softcuda_stamp(_session, _request) {
        Ok(Value::from(super::STAMP))
    }
}

/// Takes an answer back.
#[unsafe(no_mangle)]
pub extern "C" fn softcuda_free(answer: Given) {
    answer.free();
}

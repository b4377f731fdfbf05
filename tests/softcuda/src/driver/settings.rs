//! What a driver is configured with, by environment or by a test: shared by the library and those who install it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::Code;
use crate::machine::{Options, Profile};

/// When work on a stream is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StreamMode {
    /// By the call that enqueues it.
    #[default]
    AtEnqueue,
    /// As late as possible, in an order drawn from a seed out of those that streams, events and the legacy stream leave
    /// open: a missing dependency becomes a wrong result.
    Adversarial {
        /// Draws the order.
        seed: u64,
    },
}

/// What a driver is configured with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// A name that [`profile`] knows.
    pub profile: String,
    /// How kernels are scheduled and checked.
    pub options: Options,
    /// When work on a stream is executed.
    pub streams: StreamMode,
}

impl Default for Settings {
    fn default() -> Self {
        Self { profile: "a100".to_owned(), options: Options::default(), streams: StreamMode::default() }
    }
}

impl Settings {
    /// The defaults, changed by `SOFTCUDA_PROFILE`, `SOFTCUDA_SEED` (of blocks, and, unless 0, of streams) and
    /// `SOFTCUDA_THREADS`.
    pub fn from_environment() -> Result<Self, String> {
        let mut settings = Self::default();
        if let Some(name) = variable("SOFTCUDA_PROFILE") {
            settings.profile = name;
        }
        if let Some(seed) = number("SOFTCUDA_SEED")? {
            settings.options.seed = seed;
            if seed != 0 {
                settings.streams = StreamMode::Adversarial { seed };
            }
        }
        if let Some(threads) = number("SOFTCUDA_THREADS")? {
            settings.options.threads = threads as usize;
        }
        profile(&settings.profile)?;
        Ok(settings)
    }
}

/// A variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn number(name: &str) -> Result<Option<u64>, String> {
    let Some(value) = variable(name) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| format!("{name}={value} is not a number"))
}

/// The device of a name: `a100`, `h100` or `small`.
pub fn profile(name: &str) -> Result<Profile, String> {
    match name {
        "a100" => Ok(Profile { name: "software A100 (softcuda)", ..Profile::a100() }),
        "h100" => Ok(Profile { name: "software H100 (softcuda)", ..Profile::h100() }),
        "small" => Ok(Profile { name: "software small device (softcuda)", ..Profile::small() }),
        _ => Err(format!("there is no profile {name:?}: a100, h100 and small are known")),
    }
}

/// What goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Site {
    /// The n-th allocation of device memory is refused.
    Allocation,
    /// The n-th call that launches a kernel is refused; nothing runs.
    Launch,
    /// The n-th call that copies or fills is refused; nothing moves.
    Copy,
    /// The n-th kernel to run faults, and its context with it.
    Kernel,
    /// From the n-th call on, all of them fail: the device is lost.
    Call,
}

/// An error that a driver makes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injection {
    /// What fails.
    pub site: Site,
    /// Which one, counted from 1 as the injection is made.
    pub nth: u64,
    /// The error's number in the driver API.
    pub code: u32,
}

impl Injection {
    /// With the error that is usual there: out of memory (2), out of resources (701), an invalid value (1), an illegal
    /// address (700), and an unknown error (999).
    pub fn new(site: Site, nth: u64) -> Self {
        let code = match site {
            Site::Allocation => Code::OUT_OF_MEMORY,
            Site::Launch => Code::LAUNCH_OUT_OF_RESOURCES,
            Site::Copy => Code::INVALID_VALUE,
            Site::Kernel => Code::ILLEGAL_ADDRESS,
            Site::Call => Code::UNKNOWN,
        };
        Self { site, nth, code: code.number() }
    }

    /// With an error of one's choice.
    pub fn with_code(self, code: u32) -> Self {
        Self { code, ..self }
    }

    /// Those of a text such as `allocation:3,kernel:2:719`, as `SOFTCUDA_INJECT` holds it.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').filter(|part| !part.is_empty()).map(str::parse).collect()
    }

    /// Errors: counted from 0, or a code that the driver API does not have.
    pub fn check(&self) -> Result<(), String> {
        if self.nth == 0 {
            return Err("injections count from 1".to_owned());
        }
        match Code::from_number(self.code) {
            Some(_) => Ok(()),
            None => Err(format!("{} is no error of the driver API", self.code)),
        }
    }
}

/// `site:nth` or `site:nth:code`; the sites are `allocation`, `launch`, `copy`, `kernel` and `call`.
impl FromStr for Injection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("{text:?} is no injection: it should read like allocation:3 or kernel:2:719");
        let mut parts = text.split(':');
        let site = match parts.next() {
            Some("allocation") => Site::Allocation,
            Some("launch") => Site::Launch,
            Some("copy") => Site::Copy,
            Some("kernel") => Site::Kernel,
            Some("call") => Site::Call,
            _ => return Err(error()),
        };
        let nth = parts.next().and_then(|nth| nth.parse().ok()).ok_or_else(error)?;
        let mut injection = Self::new(site, nth);
        if let Some(code) = parts.next() {
            injection.code = code.parse().map_err(|_| error())?;
        }
        if parts.next().is_some() {
            return Err(error());
        }
        injection.check()?;
        Ok(injection)
    }
}

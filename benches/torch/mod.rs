//! PyTorch, in turns with other lines: a process that does on request what `torch_lines.py` has.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::turns::Line;

/// A Python that has PyTorch.
#[derive(Clone)]
pub struct Torch(Arc<Mutex<Process>>);

struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Torch {
    /// That of `--torch PYTHON`, if it is among the arguments.
    pub fn of_arguments() -> Option<Self> {
        let python = env::args().skip_while(|argument| argument != "--torch").nth(1)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/torch_lines.py");
        let mut command = Command::new(&python);
        let child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{python}: {error}"));
        let (input, output) = child.stdin.take().zip(child.stdout.take()).expect("both are piped");
        Some(Self(Arc::new(Mutex::new(Process { child, input, output: BufReader::new(output) }))))
    }

    /// The work of a request, as `normals 1 1048576`, of which the first time is over.
    pub fn line(&self, request: String) -> Line {
        let torch = self.clone();
        torch.work(&request);
        Box::new(move || torch.work(&request))
    }

    fn work(&self, request: &str) {
        let Process { input, output, .. } = &mut *self.0.lock().expect("no request has failed");
        writeln!(input, "{request}").expect("a process that reads");
        let mut seconds = String::new();
        output.read_line(&mut seconds).expect("an answer");
        assert!(seconds.trim().parse::<f64>().is_ok(), "PyTorch answered {request:?} with {seconds:?}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is waited for all the same.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

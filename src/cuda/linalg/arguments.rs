//! The arguments of a call: where they lie, and whether they may lie there.

use cudarc::driver::SyncOnDrop;

use crate::backend::{Span, check_spans};
use crate::cuda::address::{read, written};
use crate::device::Cuda;
use crate::element::Element;
use crate::error::Result;
use crate::linalg::{Form, Symmetric};
use crate::memory::{MatMut, MatRef, View, ViewMut, span};

/// What has been named so far. It must outlive the launches: it orders the stream's work with that of other streams.
pub(super) struct Arguments<'a> {
    cuda: &'a Cuda,
    guards: Vec<SyncOnDrop<'a>>,
    spans: Vec<Span>,
}

impl<'a> Arguments<'a> {
    pub(super) fn new(cuda: &'a Cuda) -> Self {
        Self { cuda, guards: Vec::new(), spans: Vec::new() }
    }

    /// The address of a view that is read; messages call it by `what` and the position.
    pub(super) fn read<T: Element>(&mut self, what: &'static str, position: usize, view: &'a View<'_, T>) -> u64 {
        self.read_span(what, position, view, Some(view.len()))
    }

    /// The same of a matrix.
    pub(super) fn read_matrix<T: Element>(
        &mut self,
        what: &'static str,
        position: usize,
        matrix: &'a MatRef<'_, T>,
    ) -> u64 {
        let length = span(matrix.rows(), matrix.columns(), matrix.stride());
        self.read_span(what, position, &matrix.view, length)
    }

    fn read_span<T: Element>(
        &mut self,
        what: &'static str,
        position: usize,
        view: &'a View<'_, T>,
        length: Option<usize>,
    ) -> u64 {
        let address = read(self.cuda, view, &mut self.guards);
        self.spans.push(Span::read::<T>(what, position, address, length.map_or(u64::MAX, |length| length as u64)));
        address
    }

    /// The addresses of a symmetric matrix and of its border, 0 where there is none.
    pub(super) fn read_symmetric<T: Element>(&mut self, position: usize, source: &'a Symmetric<'_, T>) -> [u64; 2] {
        const WHAT: &str = "source";
        let core = match &source.form {
            Form::Full(matrix) | Form::Lower(matrix) => self.read_matrix(WHAT, position, matrix),
            Form::Packed(view) => self.read(WHAT, position, view),
        };
        [core, source.border.as_ref().map_or(0, |border| self.read(WHAT, position, border))]
    }

    /// The address of a view that is written.
    pub(super) fn written<T: Element>(
        &mut self,
        what: &'static str,
        position: usize,
        view: &'a mut ViewMut<'_, T>,
    ) -> u64 {
        let length = view.len();
        self.written_span(what, position, view, Some(length))
    }

    /// The same of a matrix.
    pub(super) fn written_matrix<T: Element>(
        &mut self,
        what: &'static str,
        position: usize,
        matrix: &'a mut MatMut<'_, T>,
    ) -> u64 {
        let length = span(matrix.rows(), matrix.columns(), matrix.stride());
        self.written_span(what, position, &mut matrix.view, length)
    }

    fn written_span<T: Element>(
        &mut self,
        what: &'static str,
        position: usize,
        view: &'a mut ViewMut<'_, T>,
        length: Option<usize>,
    ) -> u64 {
        let address = written(self.cuda, view, &mut self.guards);
        self.spans.push(Span::written::<T>(what, position, address, length.map_or(u64::MAX, |length| length as u64)));
        address
    }

    /// Errors: one that is not aligned to its element, or that is written and shares memory with another.
    pub(super) fn check(&mut self) -> Result<()> {
        check_spans(std::mem::take(&mut self.spans))
    }
}

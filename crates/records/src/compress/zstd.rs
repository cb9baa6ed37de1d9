//! Zstandard with pooled contexts.

use std::cell::RefCell;

use ::zstd::zstd_safe::{
    CCtx, CParameter, DCtx, InBuffer, OutBuffer, ResetDirective, compress_bound,
};

use super::Compression;
use super::pool::{Shelf, Window, give, take};
use crate::error::RecordsError;

/// Decompressed at a time: the format's largest block.
const WINDOW_LEN: usize = 1 << 17;
/// A context that grew larger (a high level, a large window) is not kept.
const MAX_KEPT_CONTEXT: usize = 4 << 20;

thread_local! {
    static COMPRESSORS: Shelf<CCtx<'static>> = const { RefCell::new(Vec::new()) };
    static DECOMPRESSORS: Shelf<DCtx<'static>> = const { RefCell::new(Vec::new()) };
}

fn fault(reason: &'static str) -> RecordsError {
    RecordsError::Decompress { compression: Compression::Zstd, reason }
}

pub(super) fn compress(level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), RecordsError> {
    let failed = |reason| RecordsError::Compress { compression: Compression::Zstd, reason };
    let mut context = match COMPRESSORS.with(take) {
        Some(context) => context,
        None => CCtx::try_create().ok_or(failed("no memory for a context"))?,
    };
    let start = out.len();
    out.resize(start + compress_bound(input.len()), 0);
    let target = out.get_mut(start..).unwrap_or_default();
    let result = context
        .set_parameter(CParameter::CompressionLevel(level))
        .and_then(|_| context.compress2(target, input));
    out.truncate(start + *result.as_ref().unwrap_or(&0));
    if result.is_ok() && context.sizeof() <= MAX_KEPT_CONTEXT {
        COMPRESSORS.with(|shelf| give(shelf, context));
    }
    result.map(drop).map_err(|code| failed(::zstd::zstd_safe::get_error_name(code)))
}

pub(super) struct Reader<'a> {
    input: InBuffer<'a>,
    len: usize,
    context: Option<DCtx<'static>>,
    /// Between two frames: the only place where the input may end.
    at_frame_end: bool,
    pub(super) window: Window,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, RecordsError> {
        let context = match DECOMPRESSORS.with(take) {
            Some(context) => context,
            None => DCtx::try_create().ok_or(fault("no memory for a context"))?,
        };
        Ok(Self {
            input: InBuffer::around(input),
            len: input.len(),
            context: Some(context),
            at_frame_end: true,
            window: Window::new(),
        })
    }

    pub(super) fn fill(&mut self) -> Result<&[u8], RecordsError> {
        while self.window.is_empty() {
            let before = self.input.pos();
            if before >= self.len && self.at_frame_end {
                break;
            }
            let Some(context) = &mut self.context else {
                return Err(fault("the stream has failed before"));
            };
            let mut out = OutBuffer::around(self.window.space(WINDOW_LEN));
            let result = context.decompress_stream(&mut out, &mut self.input);
            let written = out.pos();
            match result {
                Ok(hint) => self.at_frame_end = hint == 0,
                Err(code) => {
                    self.context = None;
                    return Err(fault(::zstd::zstd_safe::get_error_name(code)));
                }
            }
            self.window.filled(written);
            if written == 0 && self.input.pos() == before {
                return Err(fault("Stream ended prematurely"));
            }
        }
        Ok(self.window.content())
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        if let Some(mut context) = self.context.take()
            && context.reset(ResetDirective::SessionOnly).is_ok()
            && context.sizeof() <= MAX_KEPT_CONTEXT
        {
            let _gone = DECOMPRESSORS.try_with(|shelf| give(shelf, context));
        }
    }
}

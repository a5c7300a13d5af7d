//! How many GPUs the CUDA driver shows.

/// Number of GPUs that this process may use; 0 without a driver. Never panics.
pub fn count_gpus() -> u32 {
    #[cfg(feature = "driver")]
    {
        probe::count().unwrap_or(0)
    }
    #[cfg(not(feature = "driver"))]
    {
        0
    }
}

#[cfg(feature = "driver")]
mod probe {
    /// Asks for the library first: without a driver every other call of cudarc panics instead of failing.
    #[allow(unsafe_code)]
    pub(super) fn count() -> Option<u32> {
        // SAFETY: the call only opens the driver's shared library by its usual names and closes it again; it is unsafe
        // because opening a library runs its initializers, which for the CUDA driver need no preparation by the caller.
        let is_present = unsafe { cudarc::driver::sys::is_culib_present() };
        if !is_present {
            return None;
        }
        // A driver too old for a symbol that cudarc looks up, or one whose kernel module is missing, may still panic.
        let count = std::panic::catch_unwind(|| {
            cudarc::driver::result::init().ok()?;
            cudarc::driver::result::device::get_count().ok()
        });
        let count = count.ok().flatten().and_then(|count| u32::try_from(count).ok());
        if count.is_none() {
            tracing::warn!("a CUDA driver is installed but does not work; no GPU is used");
        }
        count
    }
}

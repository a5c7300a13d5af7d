//! Units of capacity: a GPU each, or a share of the processor.

use crate::config::{SlotCount, WorkerConfig};

/// One unit of capacity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// From 0.
    pub(crate) index: usize,
    /// Value of `CUDA_VISIBLE_DEVICES` for a program in this slot; empty without a GPU.
    pub(crate) devices: String,
    /// Processor threads.
    pub(crate) threads: usize,
}

/// What the machine has.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    /// GPUs as `CUDA_VISIBLE_DEVICES` names them.
    pub(crate) gpus: Vec<String>,
}

impl Machine {
    /// Looks at this machine. A list in `visible` (the variable `CUDA_VISIBLE_DEVICES`) renames the GPUs found.
    pub(crate) fn look(gpu_count: u32, visible: Option<&str>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let names: Vec<&str> = visible.unwrap_or_default().split(',').map(str::trim).collect();
        let gpus = (0..gpu_count as usize).map(|index| match names.get(index) {
            Some(name) if !name.is_empty() => (*name).to_owned(),
            _ => index.to_string(),
        });
        Self { cores, gpus: gpus.collect() }
    }
}

/// The slots of a worker: one per GPU, or `cpu_slots`, or as many as configured (over the GPUs in turn).
pub(crate) fn plan(config: &WorkerConfig, machine: &Machine) -> Vec<Slot> {
    let count = match config.slots {
        SlotCount::Count(count) => count.get(),
        SlotCount::Auto if machine.gpus.is_empty() => {
            config.cpu_slots.map_or(machine.cores, std::num::NonZero::get)
        }
        SlotCount::Auto => machine.gpus.len(),
    };
    let threads = (machine.cores / count).max(1);
    let slots = (0..count).map(|index| {
        let devices = machine.gpus.get(index % machine.gpus.len().max(1)).cloned().unwrap_or_default();
        Slot { index, devices, threads }
    });
    slots.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn config(text: &str) -> WorkerConfig {
        WorkerConfig::from_toml(&format!("server = 'http://x:1'\n{text}\n[programs.p]\ncommand = ['true']"))
            .unwrap()
    }

    #[test]
    fn gpus_come_first_and_cores_are_shared() {
        let machine = Machine { cores: 16, gpus: vec!["2".into(), "3".into()] };
        let slots = plan(&config(""), &machine);
        assert_eq!(slots.iter().map(|slot| slot.devices.as_str()).collect::<Vec<_>>(), ["2", "3"]);
        assert_eq!(slots[0].threads, 8);
        let slots = plan(&config("slots = 3"), &machine);
        assert_eq!(slots.iter().map(|slot| slot.devices.as_str()).collect::<Vec<_>>(), ["2", "3", "2"]);
        let machine = Machine { cores: 4, gpus: vec![] };
        assert_eq!(plan(&config(""), &machine).len(), 4);
        assert_eq!(
            plan(&config("cpu_slots = 8"), &machine)[7],
            Slot { index: 7, devices: String::new(), threads: 1 }
        );
    }

    #[test]
    fn visible_devices_rename_what_was_found() {
        assert_eq!(Machine::look(2, Some("5, GPU-1a")).gpus, ["5", "GPU-1a"]);
        assert_eq!(Machine::look(2, None).gpus, ["0", "1"]);
        assert_eq!(Machine::look(crate::count_gpus(), None).gpus.len(), crate::count_gpus() as usize);
    }
}

//! MSI/MSI-X creation, deletion, retarget arguments, multi-MSI groups.

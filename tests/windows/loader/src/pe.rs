//! Maps a PE image as the Windows loader would: sections with their own protection, relocations, imports.

use std::ptr;

use object::LittleEndian as LE;
use object::pe::{
    IMAGE_FILE_MACHINE_AMD64, IMAGE_REL_BASED_ABSOLUTE, IMAGE_REL_BASED_DIR64, IMAGE_SCN_MEM_EXECUTE,
    IMAGE_SCN_MEM_WRITE, IMAGE_SUBSYSTEM_NATIVE, ImageNtHeaders64,
};
use object::read::pe::{ImageNtHeaders, ImageOptionalHeader, Import, PeFile64};

/// A mapped image.
pub struct Image {
    /// Where it lies.
    pub base: *mut u8,
    /// Its bytes in memory.
    pub size: usize,
    /// Its entry point.
    pub entry: *const u8,
    /// What it imports: DLL and name.
    pub imports: Vec<(String, String)>,
}

/// Why a file is no driver this loader can run.
pub type Refused = Box<dyn std::error::Error>;

/// Maps `file`; `resolve` gives the address of an imported function.
pub fn load(file: &[u8], mut resolve: impl FnMut(&str, &str) -> *const ()) -> Result<Image, Refused> {
    let pe = PeFile64::parse(file)?;
    let headers: &ImageNtHeaders64 = pe.nt_headers();
    if headers.file_header().machine.get(LE) != IMAGE_FILE_MACHINE_AMD64 {
        return Err("not an x86-64 image".into());
    }
    let optional = headers.optional_header();
    if optional.subsystem() != IMAGE_SUBSYSTEM_NATIVE {
        return Err("the subsystem is not native".into());
    }
    let size = usize::try_from(optional.size_of_image())?.next_multiple_of(4096);
    let header_bytes = usize::try_from(optional.size_of_headers())?;
    let memory = reserve(size)?;
    memory[..header_bytes].copy_from_slice(file.get(..header_bytes).ok_or("headers are cut off")?);
    for section in pe.section_table().iter() {
        let at = usize::try_from(section.virtual_address.get(LE))?;
        let data = section.pe_data(file)?;
        let data = &data[..data.len().min(usize::try_from(section.virtual_size.get(LE))?)];
        memory.get_mut(at..at + data.len()).ok_or("a section lies outside the image")?.copy_from_slice(data);
    }
    relocate(&pe, file, memory, optional.image_base())?;
    let imports = bind(&pe, file, memory, &mut resolve)?;
    let base = memory.as_mut_ptr();
    for section in pe.section_table().iter() {
        let flags = section.characteristics.get(LE);
        let (write, execute) = (flags & IMAGE_SCN_MEM_WRITE != 0, flags & IMAGE_SCN_MEM_EXECUTE != 0);
        if write && execute {
            return Err("a section is both writable and executable".into());
        }
        let protection =
            libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 } | if execute { libc::PROT_EXEC } else { 0 };
        let at = usize::try_from(section.virtual_address.get(LE))?;
        let bytes = usize::try_from(section.virtual_size.get(LE))?.next_multiple_of(4096);
        protect(base, size, at, bytes, protection)?;
    }
    protect(base, size, 0, header_bytes.next_multiple_of(4096), libc::PROT_READ)?;
    let entry = usize::try_from(optional.address_of_entry_point())?;
    Ok(Image { base, size, entry: base.wrapping_add(entry), imports })
}

/// Memory for the image, writable until the sections get their own protection.
fn reserve(size: usize) -> Result<&'static mut [u8], Refused> {
    // SAFETY: a new private mapping of `size` bytes, never unmapped; nobody else has a pointer to it.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let memory = libc::mmap(ptr::null_mut(), size, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        if memory == libc::MAP_FAILED {
            return Err("no memory for the image".into());
        }
        Ok(std::slice::from_raw_parts_mut(memory.cast(), size))
    }
}

fn protect(base: *mut u8, size: usize, at: usize, bytes: usize, protection: i32) -> Result<(), Refused> {
    if at.checked_add(bytes).is_none_or(|end| end > size) {
        return Err("a section lies outside the image".into());
    }
    // SAFETY: the range lies in the image's own mapping, as just checked.
    match unsafe { libc::mprotect(base.add(at).cast(), bytes, protection) } {
        0 => Ok(()),
        _ => Err("a section is not page-aligned".into()),
    }
}

fn word(memory: &[u8], at: usize) -> Result<u64, Refused> {
    let bytes = memory.get(at..at + 8).ok_or("an address outside the image")?;
    Ok(u64::from_le_bytes(bytes.try_into()?))
}

fn set_word(memory: &mut [u8], at: usize, value: u64) -> Result<(), Refused> {
    memory.get_mut(at..at + 8).ok_or("an address outside the image")?.copy_from_slice(&value.to_le_bytes());
    Ok(())
}

fn relocate(pe: &PeFile64, file: &[u8], memory: &mut [u8], preferred: u64) -> Result<(), Refused> {
    let delta = (memory.as_ptr() as u64).wrapping_sub(preferred);
    let Some(mut blocks) = pe.data_directories().relocation_blocks(file, &pe.section_table())? else { return Ok(()) };
    while let Some(block) = blocks.next()? {
        for relocation in block {
            match relocation.typ {
                IMAGE_REL_BASED_ABSOLUTE => {}
                IMAGE_REL_BASED_DIR64 => {
                    let at = usize::try_from(relocation.virtual_address)?;
                    let value = word(memory, at)?.wrapping_add(delta);
                    set_word(memory, at, value)?;
                }
                other => return Err(format!("relocation type {other}").into()),
            }
        }
    }
    Ok(())
}

fn bind(
    pe: &PeFile64,
    file: &[u8],
    memory: &mut [u8],
    resolve: &mut impl FnMut(&str, &str) -> *const (),
) -> Result<Vec<(String, String)>, Refused> {
    let mut imports = Vec::new();
    let Some(table) = pe.data_directories().import_table(file, &pe.section_table())? else { return Ok(imports) };
    let mut descriptors = table.descriptors()?;
    while let Some(descriptor) = descriptors.next()? {
        let dll = std::str::from_utf8(table.name(descriptor.name.get(LE))?)?;
        let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE))?;
        let mut slot = usize::try_from(descriptor.first_thunk.get(LE))?;
        while let Some(thunk) = thunks.next::<ImageNtHeaders64>()? {
            let Import::Name(_, name) = table.import::<ImageNtHeaders64>(thunk)? else {
                return Err(format!("{dll}: import by ordinal").into());
            };
            let name = std::str::from_utf8(name)?;
            set_word(memory, slot, resolve(dll, name) as u64)?;
            imports.push((dll.to_owned(), name.to_owned()));
            slot += 8;
        }
    }
    Ok(imports)
}

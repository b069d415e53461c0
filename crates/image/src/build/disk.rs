//! A tree as a disk that boots from BIOS and from UEFI, made without loop devices.
//!
//! Partitions: GRUB's own for BIOS, EFI's with GRUB alone, and the root. GRUB's programs come from the host and never
//! change: they read `boot/grub/grub.cfg`, which names the links `/vmlinuz` and `/initrd.img` that Debian's kernel
//! packages keep. So a node needs no GRUB to get a new kernel.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Format, Order, base, inside};
use crate::error::{ImageError, Result};
use crate::host::run::{command, run, run_with_input};
use crate::spec::Spec;

/// The size that disks count in.
const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// Where the partitions begin, in sectors: at 1, 2 and 16 MiB.
const BIOS_START: u64 = 2048;
const EFI_START: u64 = 4096;
const ROOT_START: u64 = 32768;
/// The room behind the root for the second copy of the table.
const TAIL_MIB: u64 = 1;
/// Of a file system a part is for itself; and a node needs some room.
const ROOM_PERCENT: u64 = 15;
const ROOM_MIB: u64 = 128;

/// How the root is found, by GRUB and by the kernel.
const LABEL: &str = "flota-root";
/// The same in every image, so that the same tree gives the same disk.
const DISK_ID: &str = "f1074000-0000-4000-8000-000000000000";
const PARTITION_IDS: [&str; 3] = [
    "f1074000-0000-4000-8000-000000000001",
    "f1074000-0000-4000-8000-000000000002",
    "f1074000-0000-4000-8000-000000000003",
];
const FAT_ID: &str = "f1074000";

/// GRUB's parts that both programs have.
const MODULES: [&str; 11] =
    ["part_gpt", "ext2", "search", "search_label", "configfile", "normal", "linux", "echo", "test", "minicmd", "sleep"];
/// Where GRUB's packages have its parts.
const GRUB: &str = "/usr/lib/grub";
/// Both programs begin with this.
const EMBEDDED: &str = "search --no-floppy --label flota-root --set root\nconfigfile /boot/grub/grub.cfg\n";

/// Refuses what can't become a disk.
pub(crate) fn check(spec: &Spec) -> Result<()> {
    for needs in [base::KERNEL, base::INITRD] {
        if spec.without.iter().any(|name| name == needs) {
            return Err(ImageError::Without { what: "a disk", needs });
        }
    }
    if std::env::consts::ARCH != "x86_64" {
        let value = std::env::consts::ARCH.to_owned();
        return Err(ImageError::Value {
            what: "architecture",
            value,
            why: "disks are made for x86_64 only; tar and dir for any",
        });
    }
    for (dir, package) in [("i386-pc", "grub-pc-bin"), ("x86_64-efi", "grub-efi-amd64-bin")] {
        if !Path::new(GRUB).join(dir).is_dir() {
            let missing = crate::host::Missing { tool: dir, package };
            return Err(crate::host::HostError::MissingTools(vec![missing]).into());
        }
    }
    Ok(())
}

/// What a tree has on a disk alone.
pub(crate) fn complete(order: &Order, tree: &Path) -> Result<()> {
    let fstab = format!("LABEL={LABEL} / ext4 errors=remount-ro,x-systemd.growfs 0 1\n");
    inside::write(tree, "/etc/fstab", fstab.as_bytes(), 0o644)?;
    inside::write(tree, "/boot/grub/grub.cfg", grub_config(&order.spec).as_bytes(), 0o644)?;
    Ok(())
}

/// The newest kernel at once, and behind the Escape key the one before.
fn grub_config(spec: &Spec) -> String {
    let arguments = spec.kernel_arguments.join(" ");
    let entry = |title: &str, ending: &str| {
        format!(
            "menuentry '{title}' {{\n  linux /vmlinuz{ending} root=LABEL={LABEL} ro {arguments}\n  initrd /initrd.img{ending}\n}}\n"
        )
    };
    let entries = [entry("Debian", ""), entry("Debian, the kernel before", ".old")].concat();
    format!(
        "# Written by flota. /vmlinuz and /initrd.img are kept by Debian's kernel packages.\nset timeout_style=hidden\nset timeout=1\n{entries}"
    )
}

/// The disk; `bytes` are those of the tree's files.
pub(crate) fn make(order: &Order, tree: &Path, bytes: u64, scratch: &Path) -> Result<PathBuf> {
    let size_mib = order.spec.size_mib;
    let tree_mib = bytes.div_ceil(MIB);
    let root_mib = size_mib - ROOT_START * SECTOR / MIB - TAIL_MIB;
    if tree_mib * (100 + ROOM_PERCENT) / 100 + ROOM_MIB > root_mib {
        return Err(ImageError::TooSmall { size_mib, tree_mib });
    }
    let disk = scratch.join("disk");
    let file = File::create_new(&disk).map_err(ImageError::io("make", &disk))?;
    file.set_len(size_mib * MIB).map_err(ImageError::io("make", &disk))?;
    let root_sectors = root_mib * MIB / SECTOR;
    run_with_input(command("sfdisk", ["--quiet"]).arg(&disk), &table(root_sectors))?;
    let embedded = scratch.join("embedded.cfg");
    fs::write(&embedded, EMBEDDED).map_err(ImageError::io("write", &embedded))?;
    bios(&file, &disk, &embedded, scratch)?;
    efi(&file, &disk, &embedded, scratch)?;
    let mut format = command("mke2fs", ["-q", "-F", "-t", "ext4", "-L", LABEL, "-U", PARTITION_IDS[2]]);
    // Features that GRUB of Debian 12 does not read yet.
    format.args(["-O", "^metadata_csum_seed,^orphan_file", "-m", "1"]);
    format.arg("-E").arg(format!("offset={},hash_seed={},lazy_itable_init=1", ROOT_START * SECTOR, PARTITION_IDS[2]));
    format.arg("-d").arg(tree).arg(&disk).arg(format!("{}k", root_sectors / 2));
    run(format.env("E2FSPROGS_FAKE_TIME", order.epoch.to_string()).env("SOURCE_DATE_EPOCH", order.epoch.to_string()))?;
    if order.format == Format::Raw {
        return Ok(disk);
    }
    let packed = scratch.join("disk.qcow2");
    run(command("qemu-img", ["convert", "-q", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd"])
        .args([&disk, &packed]))?;
    Ok(packed)
}

/// What sfdisk is told.
fn table(root_sectors: u64) -> String {
    let [bios, efi, root] = PARTITION_IDS;
    let (bios_size, efi_size) = (EFI_START - BIOS_START, ROOT_START - EFI_START);
    format!(
        "label: gpt\nlabel-id: {DISK_ID}\nunit: sectors\n\
         start={BIOS_START}, size={bios_size}, type=21686148-6449-6E6F-744E-656564454649, uuid={bios}, name=bios\n\
         start={EFI_START}, size={efi_size}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid={efi}, name=efi\n\
         start={ROOT_START}, size={root_sectors}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid={root}, name=root\n"
    )
}

/// One of GRUB's programs with all that it needs to find the root.
fn grub(target: &str, more: &[&str], embedded: &Path, output: &Path) -> Result<()> {
    let mut make = command("grub-mkimage", ["--format", target, "--prefix", "/boot/grub"]);
    make.arg("--directory").arg(Path::new(GRUB).join(target)).arg("--config").arg(embedded).arg("--output").arg(output);
    run(make.args(MODULES).args(more))?;
    Ok(())
}

/// For BIOS: the first sector, which loads the sectors of the first partition.
fn bios(disk: &File, disk_path: &Path, embedded: &Path, scratch: &Path) -> Result<()> {
    let path = scratch.join("core.img");
    grub("i386-pc", &["biosdisk"], embedded, &path)?;
    let mut core = fs::read(&path).map_err(ImageError::io("read", &path))?;
    let first_path = Path::new(GRUB).join("i386-pc/boot.img");
    let mut first = fs::read(&first_path).map_err(ImageError::io("read", &first_path))?;
    let damaged = |path: &Path| ImageError::io("use", path)(io::Error::from(io::ErrorKind::InvalidData));
    install(&mut first, &mut core).ok_or_else(|| damaged(&first_path))?;
    if core.len() as u64 > (EFI_START - BIOS_START) * SECTOR {
        return Err(damaged(&path));
    }
    let write = |bytes: &[u8], at: u64| disk.write_all_at(bytes, at).map_err(ImageError::io("write", disk_path));
    // Behind that the sector has the disk's table.
    write(&first[..BOOT_CODE], 0)?;
    write(&core, BIOS_START * SECTOR)
}

/// How much of the first sector is code.
const BOOT_CODE: usize = 440;
/// Where the first sector says where the next ones are.
const NEXT_AT: usize = 0x5c;
/// Where it doubts the drive that the BIOS names: GRUB's own installer takes that away on disks, too.
const DOUBT_AT: usize = 0x66;
/// Where the first sector of the core has its list of the others: first sector, how many, and where in memory.
const LIST_AT: usize = 0x1f4;
const LIST_SEGMENT: u16 = 0x820;

/// Tells both where the other sectors are, as GRUB's own installer does.
fn install(first: &mut [u8], core: &mut [u8]) -> Option<()> {
    let others = u16::try_from(core.len().div_ceil(SECTOR as usize).checked_sub(1)?).ok()?;
    first.get_mut(NEXT_AT..NEXT_AT + 8)?.copy_from_slice(&BIOS_START.to_le_bytes());
    first.get_mut(DOUBT_AT..DOUBT_AT + 2)?.copy_from_slice(&[0x90, 0x90]);
    first.get(..BOOT_CODE)?;
    let list = core.get_mut(LIST_AT..LIST_AT + 12)?;
    list[..8].copy_from_slice(&(BIOS_START + 1).to_le_bytes());
    list[8..10].copy_from_slice(&others.to_le_bytes());
    list[10..].copy_from_slice(&LIST_SEGMENT.to_le_bytes());
    Some(())
}

/// For UEFI: the program under the name that every firmware looks for.
fn efi(disk: &File, disk_path: &Path, embedded: &Path, scratch: &Path) -> Result<()> {
    let program = scratch.join("BOOTX64.EFI");
    grub("x86_64-efi", &["all_video"], embedded, &program)?;
    let path = scratch.join("efi.img");
    let partition = File::create_new(&path).map_err(ImageError::io("make", &path))?;
    partition.set_len((ROOT_START - EFI_START) * SECTOR).map_err(ImageError::io("make", &path))?;
    run(command("mkfs.vfat", ["--invariant", "-i", FAT_ID, "-n", "EFI"]).arg(&path))?;
    run(command("mmd", ["-i"]).arg(&path).args(["::EFI", "::EFI/BOOT"]))?;
    run(command("mcopy", ["-i"]).arg(&path).arg(&program).arg("::EFI/BOOT/BOOTX64.EFI"))?;
    let bytes = fs::read(&path).map_err(ImageError::io("read", &path))?;
    disk.write_all_at(&bytes, EFI_START * SECTOR).map_err(ImageError::io("write", disk_path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sectors_know_where_the_others_are() {
        let (mut first, mut core) = (vec![0; 512], vec![0; 512 * 3 + 1]);
        install(&mut first, &mut core).unwrap();
        assert_eq!(first[NEXT_AT..NEXT_AT + 8], 2048u64.to_le_bytes());
        assert_eq!(core[LIST_AT..LIST_AT + 8], 2049u64.to_le_bytes());
        assert_eq!(core[LIST_AT + 8..LIST_AT + 12], [3, 0, 0x20, 0x08]);
        assert_eq!(install(&mut [0; 10], &mut core), None);
        assert_eq!(install(&mut first, &mut []), None);
    }

    #[test]
    fn grub_starts_the_kernel_that_debian_links() {
        let config = grub_config(&Spec { kernel_arguments: vec!["console=ttyS0".to_owned()], ..Spec::default() });
        assert!(
            config.contains("linux /vmlinuz root=LABEL=flota-root ro console=ttyS0\n  initrd /initrd.img\n"),
            "{config}"
        );
        assert!(EMBEDDED.contains(LABEL));
    }

    #[test]
    fn a_disk_needs_a_kernel() {
        let spec = Spec { without: vec!["initramfs-tools".to_owned()], ..Spec::default() };
        assert_eq!(check(&spec).unwrap_err().to_string(), "a disk needs initramfs-tools, which the spec leaves out");
    }
}

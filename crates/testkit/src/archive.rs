//! Tar and gzip, just enough to make layers that every client unpacks.

/// What a tar archive consists of.
const BLOCK: usize = 512;

/// The longest block that DEFLATE stores (RFC 1951, section 3.2.4).
const STORED: usize = 65_535;

/// Makes a tar archive (POSIX ustar) of regular files with mode 0644, all owned by root and of the same instant.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, content) in files {
        archive.extend_from_slice(&header(name, content.len()));
        archive.extend_from_slice(content);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty blocks end an archive.
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut field = |at: usize, text: &str| {
        header[at..at + text.len()].copy_from_slice(text.as_bytes());
    };
    assert!(name.len() < 100, "a name that ustar cannot hold: {name}");
    field(0, name);
    field(100, "0000644");
    field(108, "0000000");
    field(116, "0000000");
    field(124, &format!("{size:011o}"));
    field(136, "14371573400");
    // The sum counts its own field as spaces.
    field(148, "        ");
    field(156, "0");
    field(257, "ustar\0");
    field(263, "00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Packs `content` as gzip (RFC 1952) with stored blocks: random bytes do not shrink anyway.
pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let mut blocks = content.chunks(STORED).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).expect("a chunk is no longer than STORED");
        packed.push(u8::from(blocks.peek().is_none()));
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&(!length).to_le_bytes());
        packed.extend_from_slice(block);
    }
    packed.extend_from_slice(&crc32(content).to_le_bytes());
    // The size is kept modulo 2^32.
    let size = u32::try_from(content.len() % (1 << 32)).unwrap_or_default();
    packed.extend_from_slice(&size.to_le_bytes());
    packed
}

fn crc32(bytes: &[u8]) -> u32 {
    let table: [u32; 256] = std::array::from_fn(|index| {
        (0..8).fold(u32::try_from(index).unwrap_or_default(), |word, _| {
            if word & 1 == 1 {
                0xedb8_8320 ^ (word >> 1)
            } else {
                word >> 1
            }
        })
    });
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        let [low, ..] = crc.to_le_bytes();
        table[usize::from(low ^ byte)] ^ (crc >> 8)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;
    use std::time::Duration;

    use super::*;
    use crate::{Random, Scratch, run, tool};

    #[test]
    fn crc_of_the_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn tar_unpacks_what_we_packed() {
        let (Some(tar_tool), Some(_gzip)) = (tool("tar"), tool("gzip")) else {
            return;
        };
        let scratch = Scratch::new("tar").unwrap();
        let content = Random::new(5).bytes(200_001);
        let packed = gzip(&tar(&[("first", b"1"), ("data/second", &content)]));
        fs::write(scratch.join("a.tar.gz"), packed).unwrap();
        let out = scratch.make("out").unwrap();
        run(
            Command::new(tar_tool)
                .arg("-xzf")
                .arg(scratch.join("a.tar.gz"))
                .arg("-C")
                .arg(&out),
            Duration::from_secs(30),
        )
        .unwrap();
        assert_eq!(fs::read(out.join("first")).unwrap(), b"1");
        assert_eq!(fs::read(out.join("data/second")).unwrap(), content);
    }
}

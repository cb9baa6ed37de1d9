//! The hash of keys against values computed by Kafka's Java class.

use client::murmur2::{murmur2, partition_for_key};

#[test]
fn texts() {
    // Text, hash, partition out of 7.
    let vectors = [
        ("", 275646681, 2),
        ("a", -1563381124, 5),
        ("ab", 316155434, 0),
        ("abc", 479470107, 4),
        ("abcd", -1323649548, 5),
        ("abcde", 461995741, 4),
        ("21", -973932308, 3),
        ("foobar", -790332482, 0),
        ("a-little-bit-long-string", -985981536, 1),
        ("a-little-bit-longer-string", -1486304829, 0),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971, 3),
        ("k1", 1684045097, 0),
        ("k2", 380483553, 2),
        ("k3", 1676809936, 4),
        ("éü", -199034823, 1),
    ];
    for (text, hash, partition) in vectors {
        assert_eq!(murmur2(text.as_bytes()), hash, "{text}");
        assert_eq!(partition_for_key(text.as_bytes(), 7), partition, "{text}");
    }
}

#[test]
fn bytes_beyond_seven_bits() {
    // Length; hash of the bytes 0, 1, 2 ...; hash of as many bytes 0xff.
    let vectors = [
        (1, 375494588, -311467685),
        (2, -2112343979, -1642832928),
        (3, 51419311, 1548199422),
        (5, -1916494074, -363838622),
        (127, 963361774, 1552519847),
        (128, 1741722413, -1420544709),
        (129, 1996260412, -891548075),
        (253, -996188436, -879960549),
        (254, 1651449572, -1415447468),
        (255, 1542706800, -1987369369),
        (256, -1948347274, 1214980833),
    ];
    let counting: Vec<u8> = (0..=255).collect();
    for (length, counted, filled) in vectors {
        assert_eq!(murmur2(&counting[..length]), counted, "{length}");
        assert_eq!(murmur2(&vec![0xff; length]), filled, "{length}");
    }
}

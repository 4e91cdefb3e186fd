import Files
import TestSupport
import Testing
import WeightDifferences
import Wire

@Suite struct WeightDifferenceTests {
    @Test(arguments: [0, 1e-6, 1e-3, 0.02, 0.3, 0.5, 0.9, 1])
    func anyTwoVersionsComeBackBitForBit(_ share: Double) throws {
        let base = Snapshots.random(seed: 1), new = Snapshots.changed(base, share: share, seed: 2)
        let encoded = Snapshots.encode(new, from: base)
        #expect(try Snapshots.apply(encoded.bytes, to: base) == new)
        #expect(share > 0 || encoded.density == 0)
        #expect(share < 1 || encoded.density > 0.99)
        let read = try WeightDifference(TestBytes(encoded.bytes), of: Snapshots.manifest)
        #expect(read.baseVersion == 1 && read.version == 2)
    }

    /// Zeros of both signs, infinities, and every kind of bits that are no number, to and from one another.
    @Test func bitsThatAreNoNumbersStay() throws {
        let halves: [UInt16] = [0, 0x8000, 1, 0x8001, 0x7f80, 0xff80, 0x7f81, 0xff81, 0x7fff, 0xffff, 0x7fc0, 0x3f80]
        let words: [UInt32] = [0, 0x8000_0000, 1, 0x7f80_0000, 0xff80_0000, 0x7f80_0001, 0xffff_ffff, 0x7fc0_dead]
        let manifest = WeightManifest(
            matrixType: .bf16,
            tensors: [
                .init(name: "halves", shape: [halves.count * halves.count], type: .bf16, byteOffset: 0),
                .init(
                    name: "words", shape: [words.count * words.count], type: .f32,
                    byteOffset: 2 * halves.count * halves.count),
            ], byteCount: 2 * halves.count * halves.count + 4 * words.count * words.count)
        func bytes<Number: FixedWidthInteger>(_ numbers: [Number]) -> [UInt8] { numbers.withUnsafeBytes { Array($0) } }
        let base =
            bytes(halves.flatMap { half in halves.map { _ in half } })
            + bytes(words.flatMap { word in words.map { _ in word } })
        let new = bytes(halves.flatMap { _ in halves }) + bytes(words.flatMap { _ in words })
        let encoded = Snapshots.encode(new, from: base, of: manifest)
        #expect(try Snapshots.apply(encoded.bytes, to: base, of: manifest) == new)
    }

    @Test(arguments: [1, 2, 3, 5, 8, 1000])
    func snapshotsOfWhichNothingIsToldAreOneSegment(_ count: Int) throws {
        let manifest = WeightManifest(matrixType: .f32, byteCount: count)
        let base = Snapshots.random(seed: 3, count: count), new = Snapshots.changed(base, share: 0.4, seed: 4)
        let encoded = Snapshots.encode(new, from: base, of: manifest)
        #expect(try Snapshots.apply(encoded.bytes, to: base, of: manifest) == new)
    }

    @Test func nothingOfNothingIsEmpty() throws {
        let base = Snapshots.random(seed: 5)
        #expect(Snapshots.encode(base, from: base).bytes.count < 200)
    }

    /// What training does: few weights of many move, and those by one place.
    @Test func fewSmallStepsTakeLessThanTheyAreMany() throws {
        var base = Snapshots.random(seed: 6), new = base
        var random = SeededRandomPlaces(seed: 7)
        for place in random.places(below: Snapshots.wide, share: 0.01) {
            let low = 1344 + 2 * place
            base[low] = 10
            new[low] = random.next() ? 11 : 9
        }
        let encoded = Snapshots.encode(new, from: base)
        #expect(try Snapshots.apply(encoded.bytes, to: base) == new)
        #expect((0.009...0.011).contains(encoded.density))
        // 8.1 bits for the place of one in a hundred, and 1 for the way.
        #expect(Double(encoded.bytes.count) < 1.1 * Double(encoded.changed) * 9.1 / 8)
    }

    @Test func anotherBaseIsFoundOutAndNamed() throws {
        let base = Snapshots.random(seed: 8), new = Snapshots.changed(base, share: 0.1, seed: 9)
        let encoded = Snapshots.encode(new, from: base)
        var other = base
        other[300] ^= 1
        let error = #expect(throws: DifferenceError.self) { try Snapshots.apply(encoded.bytes, to: other) }
        #expect(error?.message == "matrix is not what the learner has")
        // Twice, too.
        #expect(throws: DifferenceError.self) { try Snapshots.apply(encoded.bytes, to: new) }
    }

    /// Whatever comes of the differences on their way, the announced version comes out, or an error that says what is
    /// wrong.
    @Test func missedDoubledAndReorderedDifferencesAreNamed() throws {
        let manifest = WeightManifest(matrixType: .bf16, byteCount: 4000)
        var versions = [Snapshots.random(seed: 12, count: 4000)]
        for seed in 13...16 as ClosedRange<UInt64> {
            versions.append(Snapshots.changed(versions[versions.count - 1], share: 0.1, seed: seed))
        }
        let links = (1..<5).map {
            TestBytes(
                Snapshots.encode(
                    versions[$0], from: versions[$0 - 1], versions: (UInt64($0 - 1), UInt64($0)), of: manifest
                ).bytes)
        }
        func apply(_ chain: [Int], from base: Int = 0, to version: Int = 4) throws -> [UInt8] {
            var result = [UInt8](repeating: 0, count: 4000)
            let checksum = versions[version].withUnsafeBytes { crc32($0) }
            try versions[base].withUnsafeBytes { bytes in
                try result.withUnsafeMutableBytes {
                    try WeightDifference.apply(
                        chain.map { links[$0] },
                        to: WeightVersion(version: UInt64(base), bytes: bytes, checksum: crc32(bytes)),
                        version: UInt64(version), checksum: checksum, of: manifest, into: $0)
                }
            }
            return result
        }
        #expect(try apply([0, 1, 2, 3]) == versions[4])
        #expect(try apply([2, 3], from: 2) == versions[4])
        // Every other chain of up to five of them.
        var chains: [[Int]] = [[]], tried = 0
        for _ in 0..<5 {
            chains = chains.flatMap { chain in (0..<4).map { chain + [$0] } }
            for chain in chains where chain != [0, 1, 2, 3] {
                tried += 1
                #expect(throws: DifferenceError.self) { try apply(chain) }
            }
        }
        #expect(tried == 1363)
        let missed = #expect(throws: DifferenceError.self) { try apply([0, 2, 3]) }
        #expect(missed?.message == "it leads from version 2 to 3, and version 1 is here")
        let short = #expect(throws: DifferenceError.self) { try apply([0, 1, 2]) }
        #expect(short?.message == "it leads to version 3, not to the announced 4")
    }

    /// The format is fixed: a reader of another build must understand it. This one was written by another program.
    @Test func theFormatIsFixed() throws {
        let manifest = WeightManifest(
            matrixType: .bf16,
            tensors: [
                .init(name: "a", shape: [20], type: .bf16, byteOffset: 0),
                .init(name: "b", shape: [6], type: .f32, byteOffset: 64),
            ], byteCount: 96)
        let base = (0..<96).map { UInt8(truncatingIfNeeded: $0 * 37) }
        let hex = """
            4f50444449464631060000000000000007000000000000006000000000000000674a0d1b48000000479e398202\
            000000020000000b0000000b00000000000000489afebb0000000013ca193001000000010000000a0000000a00\
            00000a00000000000000000000009b80556b0000000028b52ffd2002110000030328b52ffd2002110000020128\
            b52ffd20010900000228b52ffd20010900005828b52ffd200109000002
            """
        var digits = Array(hex), bytes: [UInt8] = []
        while digits.count > 1 {
            bytes.append(try #require(UInt8(String(digits[..<2]), radix: 16)))
            digits.removeFirst(2)
        }
        let result = try Snapshots.apply(bytes, to: base, of: manifest)
        #expect(base.indices.filter { result[$0] != base[$0] } == [6, 14, 72, 73])
        #expect(Snapshots.encode(result, from: base, versions: (6, 7), of: manifest).changed == 3)
    }

    @Test func anotherSnapshotIsRefused() throws {
        let base = Snapshots.random(seed: 1), encoded = Snapshots.encode(base, from: base)
        let other = WeightManifest(matrixType: .bf16, byteCount: 10)
        let error = #expect(throws: DifferenceError.self) {
            try WeightDifference(TestBytes(encoded.bytes), of: other)
        }
        #expect(error?.message == "it is of snapshots of \(base.count) bytes, not 10")
    }

    /// Cut anywhere it is refused, and nothing that is altered makes anything but the new version or an error.
    @Test func damagedDifferencesGiveErrors() throws {
        let manifest = WeightManifest(
            matrixType: .bf16,
            tensors: [
                .init(name: "a", shape: [300], type: .bf16, byteOffset: 0),
                .init(name: "b", shape: [40], type: .f32, byteOffset: 640),
            ], byteCount: 832)
        let base = Snapshots.random(seed: 10, count: 832), new = Snapshots.changed(base, share: 0.05, seed: 11)
        let whole = Snapshots.encode(new, from: base, of: manifest).bytes
        for count in 0..<whole.count {
            #expect(throws: DifferenceError.self) {
                try Snapshots.apply(Array(whole.prefix(count)), to: base, of: manifest)
            }
        }
        #expect(throws: DifferenceError.self) { try Snapshots.apply(whole + [0], to: base, of: manifest) }
        // Versions and the base's checksum are for whoever holds the base to compare.
        for place in whole.indices where !(8..<24).contains(place) && !(32..<36).contains(place) {
            for bit in 0..<8 {
                var altered = whole
                altered[place] ^= 1 << UInt8(bit)
                if let result = try? Snapshots.apply(altered, to: base, of: manifest) { #expect(result == new) }
            }
        }
    }
}

/// Places that are drawn, and coins.
private struct SeededRandomPlaces {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func places(below count: Int, share: Double) -> [Int] {
        (0..<count).filter { _ in Double(random.next() >> 11) * 0x1p-53 < share }
    }

    mutating func next() -> Bool { random.next() & 1 == 0 }
}

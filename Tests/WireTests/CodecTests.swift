import Distillation
import TestSupport
import Testing
import Wire

@Suite struct CodecTests {
    @Test(arguments: Samples.all)
    func roundTrip(_ message: Message) throws {
        #expect(try Codec.decode(Codec.encode(message)) == message)
    }

    /// The bytes of every message are fixed: a peer of another build must understand them.
    @Test func goldenBytes() throws {
        let golden = Golden.bytes.split(separator: "\n")
        #expect(golden.count == Samples.all.count)
        for (message, line) in zip(Samples.all, golden) {
            let fields = line.split(separator: " ")
            #expect(fields[0] == message.name)
            #expect(Samples.hex(try Codec.encode(message)) == fields[1], "\(message.name)")
            #expect(try Codec.decode(Samples.frames(fields[1])) == message)
        }
    }

    /// Cutting a message anywhere gives an error or, where the rest is a shorter valid header, another message; never
    /// a crash, and never the same message.
    @Test(arguments: Samples.all)
    func truncatedAtEveryByte(_ message: Message) throws {
        let frames = try Codec.encode(message)
        for index in frames.indices {
            for count in 0..<frames[index].count {
                var cut = frames
                cut[index] = Frame(Array(frames[index].array.prefix(count)))
                if let other = try? Codec.decode(cut) {
                    #expect(index == 1 && other != message, "\(message.name): frame \(index) cut to \(count) bytes")
                }
                if index != 1 { #expect(throws: WireError.self) { try Codec.decode(cut) } }
            }
            #expect(throws: WireError.self) { try Codec.decode(Array(frames.prefix(index))) }
        }
        #expect(throws: WireError.self) { try Codec.decode(frames + [Frame([0])]) }
    }

    @Test func mutationsNeverCrash() throws {
        var random = SeededRandom(seed: 42)
        var decoded = 0
        for _ in 0..<20_000 {
            var frames = try Codec.encode(Samples.all[Int(random.next() % UInt64(Samples.all.count))])
            for _ in 0...Int(random.next() % 4) {
                let index = Int(random.next() % UInt64(frames.count))
                var bytes = frames[index].array
                switch random.next() % 4 {
                case 0 where !bytes.isEmpty:
                    bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
                case 1 where !bytes.isEmpty:
                    bytes.remove(at: Int(random.next() % UInt64(bytes.count)))
                case 2:
                    bytes.insert(
                        UInt8(truncatingIfNeeded: random.next()), at: Int(random.next() % UInt64(bytes.count + 1)))
                default:
                    frames.swapAt(index, Int(random.next() % UInt64(frames.count)))
                    continue
                }
                frames[index] = Frame(bytes)
            }
            // What decodes must encode again: nothing out of range gets through.
            if let message = try? Codec.decode(frames) {
                decoded += 1
                #expect(throws: Never.self) { try Codec.encode(message) }
            }
        }
        #expect(decoded > 100)
    }

    @Test(arguments: 0..<8)
    func unalignedFrames(_ offset: Int) throws {
        for message in Samples.all {
            let frames = try Codec.encode(message).map { frame in
                let storage = Shifted(frame.array, by: offset)
                return Frame(storage: storage, range: offset..<offset + frame.count)
            }
            #expect(try Codec.decode(frames) == message)
        }
    }

    @Test func unknownVersionAndForeignBytes() throws {
        for message in Samples.all {
            // These two are read in every version.
            switch message {
            case .hello, .reject: continue
            default: break
            }
            var frames = try Codec.encode(message)
            frames[0] = Frame([0x4f, 0x50, 0x44, 1])
            #expect(code { try Codec.decode(frames) } == .unknownVersion, "\(message.name)")
        }
        var frames = try Codec.encode(Samples.all[0])
        frames[0] = Frame(Array("HTTP".utf8))
        #expect(code { try Codec.decode(frames) } == .notAMessage)
        #expect(code { try Codec.decode([]) } == .notAMessage)
        #expect(code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2])]) } == .truncated)
    }

    /// A later version may add header fields and array frames: this one ignores them.
    @Test func unknownFieldsAndArraysAreIgnored() throws {
        for message in Samples.all {
            var frames = try Codec.encode(message)
            var header = frames[1].array
            header += [0xf8, 0x7f, 1]  // field 2047, varint
            header += [0x0a, 4, 0x08, 99, 0x10, 5]  // arrays { kind: 99, count: 5 }
            frames[1] = Frame(header)
            frames.append(Frame([1, 2, 3]))
            #expect(try Codec.decode(frames) == message)
        }
    }

    @Test func headerWithoutKnownKind() {
        #expect(code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame([])]) } == .unknownKind)
        // Field 1000, length-delimited, empty: a message kind of a later version.
        #expect(code { try Codec.decode([Frame([0x4f, 0x50, 0x44, 2]), Frame([0xc2, 0x3e, 0])]) } == .unknownKind)
    }
}

/// Bytes that start at a chosen offset from an aligned address.
final class Shifted: ByteStorage, @unchecked Sendable {  // Written in the initializer only.
    let bytes: UnsafeRawBufferPointer

    init(_ content: [UInt8], by offset: Int) {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: content.count + offset, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0xff)
        UnsafeMutableRawBufferPointer(rebasing: memory[offset...]).copyBytes(from: content)
        bytes = UnsafeRawBufferPointer(memory)
    }

    deinit { bytes.deallocate() }
}

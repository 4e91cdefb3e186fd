import Wire

extension FuzzTarget {
    static let wire = FuzzTarget(name: "wire") { bytes in
        let frames = WireInput(bytes).frames
        guard let message = try? Codec.decode(frames) else { return }
        // What was accepted can be sent on, and says the same: to the last bit, for no number equals one that is none.
        guard let encoded = try? Codec.encode(message), let again = try? Codec.decode(encoded),
            let sameAgain = try? Codec.encode(again), sameAgain.map(\.array) == encoded.map(\.array)
        else { throw BrokenPromise("a decoded message is encoded and decoded to itself") }
    }
}

/// Frames in one input: the length of the header, the header, then array frames with their lengths.
///
/// With the first bit set the array frames are made to fit the header instead: luck would take long to find them.
struct WireInput {
    let frames: [Frame]

    init(_ bytes: [UInt8]) {
        var rest = bytes[...]
        func take(_ count: Int) -> [UInt8] {
            defer { rest = rest.dropFirst(count) }
            return Array(rest.prefix(count))
        }
        let fits = take(1).first.map { $0 & 1 == 1 } ?? false
        func length() -> Int { take(2).reversed().reduce(0) { $0 << 8 | Int($1) } }
        let header = take(length())
        var frames = [Frame(Codec.magic + [UInt8(Codec.version)]), Frame(header)]
        if fits {
            for array in Codec.arrays(announcedBy: header) {
                let count = Int(min(array.count, 1024)) * (array.stride ?? 4)
                // Small ids and finite numbers, until the input says otherwise.
                var elements = take(count)
                elements += [UInt8](repeating: 0, count: count - elements.count)
                frames.append(Frame(elements))
            }
        } else {
            while !rest.isEmpty { frames.append(Frame(take(length()))) }
        }
        self.frames = frames
    }
}

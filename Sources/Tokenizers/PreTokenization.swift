/// The steps that cut a text into the words BPE works on, compiled.
struct PreTokenization: Sendable {
    private enum Step: Sendable {
        case split(RegexPattern, TokenizerDefinition.SplitBehavior, invert: Bool)
        case prefixSpace
    }

    private let steps: [Step]

    init(_ definition: [TokenizerDefinition.PreTokenizer]) throws(TokenizerError) {
        var steps: [Step] = []
        for part in definition {
            switch part {
            case .split(.regex(let text), let behavior, let invert):
                steps.append(.split(try RegexPattern(text), behavior, invert: invert))
            case .split(.string(let text), let behavior, let invert):
                // An empty string matches nowhere.
                guard !text.isEmpty else { continue }
                steps.append(.split(try RegexPattern(text, isLiteral: true), behavior, invert: invert))
            case .digits(let individual):
                steps.append(.split(try RegexPattern(#"\p{N}"#), individual ? .isolated : .contiguous, invert: false))
            case .byteLevel(let addPrefixSpace, let useRegex):
                if addPrefixSpace { steps.append(.prefixSpace) }
                if useRegex {
                    steps.append(
                        .split(try RegexPattern(TokenizerDefinition.gpt2Pattern), .isolated, invert: false))
                }
            }
        }
        self.steps = steps
    }

    /// Calls `body` with the bytes of every word of `text`, valid UTF-8, in order.
    func forEachWord(
        in text: [UInt8], _ body: (UnsafeBufferPointer<UInt8>) -> Void
    ) throws(TokenizerError) {
        guard !text.isEmpty else { return }
        var text = text
        var pieces = [0..<text.count]
        for step in steps {
            switch step {
            case .prefixSpace: Self.addPrefixSpaces(&text, &pieces)
            case .split(let pattern, let behavior, let invert):
                var next: [Range<Int>] = []
                next.reserveCapacity(pieces.count * 2)
                let result = text.withUnsafeBufferPointer { buffer in
                    Result { () throws(TokenizerError) in
                        for piece in pieces {
                            try Self.split(
                                UnsafeBufferPointer(rebasing: buffer[piece]), at: piece.lowerBound, pattern, behavior,
                                invert, into: &next)
                        }
                    }
                }
                try result.get()
                pieces = next
            }
        }
        text.withUnsafeBufferPointer { buffer in
            for piece in pieces { body(UnsafeBufferPointer(rebasing: buffer[piece])) }
        }
    }

    private static func addPrefixSpaces(_ text: inout [UInt8], _ pieces: inout [Range<Int>]) {
        var spaced: [UInt8] = []
        for index in pieces.indices {
            let piece = text[pieces[index]]
            let start = spaced.count
            if piece.first != UInt8(ascii: " ") { spaced.append(UInt8(ascii: " ")) }
            spaced.append(contentsOf: piece)
            pieces[index] = start..<spaced.count
        }
        text = spaced
    }

    /// Cuts one piece. Pieces are disjoint and none is empty.
    private static func split(
        _ piece: UnsafeBufferPointer<UInt8>, at base: Int, _ pattern: RegexPattern,
        _ behavior: TokenizerDefinition.SplitBehavior, _ invert: Bool, into result: inout [Range<Int>]
    ) throws(TokenizerError) {
        var parts: [(range: Range<Int>, isMatch: Bool)] = []
        var end = 0
        try pattern.forEachMatch(in: piece) { match in
            if match.lowerBound > end { parts.append((end..<match.lowerBound, invert)) }
            parts.append((match, !invert))
            end = match.upperBound
        }
        if end < piece.count { parts.append((end..<piece.count, invert)) }
        var merged: [Range<Int>] = []
        switch behavior {
        case .isolated: merged = parts.map(\.range)
        case .removed: merged = parts.filter { !$0.isMatch }.map(\.range)
        case .contiguous:
            var previous = false
            for part in parts {
                if part.isMatch == previous, let last = merged.popLast() {
                    merged.append(last.lowerBound..<part.range.upperBound)
                } else {
                    merged.append(part.range)
                }
                previous = part.isMatch
            }
        case .mergedWithPrevious:
            var previous = false
            for part in parts {
                if part.isMatch, !previous, let last = merged.popLast() {
                    merged.append(last.lowerBound..<part.range.upperBound)
                } else {
                    merged.append(part.range)
                }
                previous = part.isMatch
            }
        case .mergedWithNext:
            var previous = false
            for part in parts.reversed() {
                if part.isMatch, !previous, let last = merged.popLast() {
                    merged.append(part.range.lowerBound..<last.upperBound)
                } else {
                    merged.append(part.range)
                }
                previous = part.isMatch
            }
            merged.reverse()
        }
        for range in merged where !range.isEmpty {
            result.append(base + range.lowerBound..<base + range.upperBound)
        }
    }
}

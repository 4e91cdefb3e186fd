/// A piece of text as a sequence of parts that match something, and parts that do not.
struct PieceParts {
    private var parts: [(range: Range<Int>, isMatch: Bool)] = []

    /// Matches of a pattern in `range` of a text; `invert` takes the others for the matches.
    static func matches(
        of pattern: RegexPattern, in text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, invert: Bool
    ) throws(TokenizerError) -> PieceParts {
        var result = PieceParts()
        var end = range.lowerBound
        try pattern.forEachMatch(in: UnsafeBufferPointer(rebasing: text[range])) { match in
            let match = match.lowerBound + range.lowerBound..<match.upperBound + range.lowerBound
            if match.lowerBound > end { result.parts.append((end..<match.lowerBound, invert)) }
            result.parts.append((match, !invert))
            end = match.upperBound
        }
        if end < range.upperBound { result.parts.append((end..<range.upperBound, invert)) }
        return result
    }

    /// Every scalar that is in a class is a match of its own.
    static func scalars(
        in text: [UInt8], _ range: Range<Int>, _ isMatch: (Unicode.Scalar) -> Bool
    ) -> PieceParts {
        var result = PieceParts()
        var end = range.lowerBound
        forEachScalar(in: text, range) { scalar, place in
            guard isMatch(scalar) else { return }
            if place.lowerBound > end { result.parts.append((end..<place.lowerBound, false)) }
            result.parts.append((place, true))
            end = place.upperBound
        }
        if end < range.upperBound { result.parts.append((end..<range.upperBound, false)) }
        return result
    }

    /// Every occurrence of the bytes of one character is a match.
    static func occurrences(of character: [UInt8], in text: [UInt8], _ range: Range<Int>) -> PieceParts {
        var result = PieceParts()
        var end = range.lowerBound
        var position = range.lowerBound
        while position + character.count <= range.upperBound {
            guard text[position] == character[0], text[position...].starts(with: character) else {
                position += 1
                continue
            }
            if position > end { result.parts.append((end..<position, false)) }
            end = position + character.count
            result.parts.append((position..<end, true))
            position = end
        }
        if end < range.upperBound { result.parts.append((end..<range.upperBound, false)) }
        return result
    }

    /// Runs of word characters, and of others that are no white space; white space is left out.
    static func words(in text: [UInt8], _ range: Range<Int>) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var previous: Bool?
        forEachScalar(in: text, range) { scalar, place in
            let isWord = scalar.isWordCharacter
            guard isWord || !scalar.properties.isWhitespace else {
                previous = nil
                return
            }
            if previous == isWord, let last = result.popLast() {
                result.append(last.lowerBound..<place.upperBound)
            } else {
                result.append(place)
            }
            previous = isWord
        }
        return result
    }

    private static func forEachScalar(
        in text: [UInt8], _ range: Range<Int>, _ body: (Unicode.Scalar, Range<Int>) -> Void
    ) {
        var position = range.lowerBound
        var decoder = UTF8()
        var iterator = text[range].makeIterator()
        while case .scalarValue(let scalar) = decoder.decode(&iterator) {
            let end = position + UTF8.width(scalar)
            body(scalar, position..<end)
            position = end
        }
    }

    /// The pieces that a behaviour makes of the parts.
    consuming func merged(_ behavior: TokenizerDefinition.SplitBehavior) -> [Range<Int>] {
        switch behavior {
        case .isolated: return parts.map(\.range)
        case .removed: return parts.filter { !$0.isMatch }.map(\.range)
        case .contiguous: return joined(parts) { $0 == $1 }
        case .mergedWithPrevious: return joined(parts) { isMatch, previous in isMatch && !previous }
        case .mergedWithNext: return joined(parts.reversed()) { isMatch, previous in isMatch && !previous }.reversed()
        }
    }

    /// Joins a part to the one before it where `joins(isMatch, isMatchBefore)`; before the first stands no match.
    private func joined(
        _ parts: [(range: Range<Int>, isMatch: Bool)], _ joins: (Bool, Bool) -> Bool
    ) -> [Range<Int>] {
        var result: [Range<Int>] = []
        var previous = false
        for part in parts {
            if joins(part.isMatch, previous), let last = result.popLast() {
                result.append(
                    min(last.lowerBound, part.range.lowerBound)..<max(last.upperBound, part.range.upperBound))
            } else {
                result.append(part.range)
            }
            previous = part.isMatch
        }
        return result
    }
}

extension Text {
    /// Byte offset of the first `needle` at or after `start`. The time is linear whatever the texts are.
    func firstOffset(of needle: Text, from start: Int = 0, to end: Int? = nil) -> Int? {
        Self.search(bytes[...], needle.bytes[...], start, end ?? bytes.count)
    }

    /// Byte offset of the last `needle` that lies within `start ..< end`.
    func lastOffset(of needle: Text, from start: Int = 0, to end: Int? = nil) -> Int? {
        let end = end ?? bytes.count
        let haystack = Array(bytes[start..<end].reversed()), needle = Array(needle.bytes.reversed())
        return Self.search(haystack[...], needle[...], 0, haystack.count).map { end - $0 - needle.count }
    }

    private static func search(
        _ haystack: ArraySlice<UInt8>, _ needle: ArraySlice<UInt8>, _ start: Int, _ end: Int
    ) -> Int? {
        guard start <= end, needle.count <= end - start else { return nil }
        guard let first = needle.first else { return start }
        return haystack.withUnsafeBufferPointer { hay in
            needle.withUnsafeBufferPointer { needle in
                if needle.count <= 32 {
                    var position = start
                    let last = end - needle.count
                    while position <= last {
                        if hay[position] == first {
                            var matched = 1
                            while matched < needle.count, hay[position + matched] == needle[matched] { matched += 1 }
                            if matched == needle.count { return position }
                        }
                        position += 1
                    }
                    return nil
                }
                return knuthMorrisPratt(hay, needle, start, end)
            }
        }
    }

    private static func knuthMorrisPratt(
        _ hay: UnsafeBufferPointer<UInt8>, _ needle: UnsafeBufferPointer<UInt8>, _ start: Int, _ end: Int
    ) -> Int? {
        var border = [Int](repeating: 0, count: needle.count)
        var length = 0
        for index in 1..<needle.count {
            while length > 0, needle[index] != needle[length] { length = border[length - 1] }
            if needle[index] == needle[length] { length += 1 }
            border[index] = length
        }
        var matched = 0
        for position in start..<end {
            while matched > 0, hay[position] != needle[matched] { matched = border[matched - 1] }
            if hay[position] == needle[matched] { matched += 1 }
            if matched == needle.count { return position - needle.count + 1 }
        }
        return nil
    }

    func contains(_ needle: Text) -> Bool { firstOffset(of: needle) != nil }
    func hasPrefix(_ prefix: Text) -> Bool { bytes.starts(with: prefix.bytes) }
    func hasSuffix(_ suffix: Text) -> Bool {
        bytes.count >= suffix.bytes.count && bytes[(bytes.count - suffix.bytes.count)...] == suffix.bytes[...]
    }

    /// The text without the code points that `drops` names, at the ends asked for.
    func stripped(left: Bool, right: Bool, _ drops: (Unicode.Scalar) -> Bool) -> Text {
        let scalars = self.scalars
        var start = scalars.startIndex, end = scalars.endIndex
        if left { while start < end, drops(scalars[start]) { start = scalars.index(after: start) } }
        if right {
            while start < end {
                let before = scalars.index(before: end)
                guard drops(scalars[before]) else { break }
                end = before
            }
        }
        if start == scalars.startIndex, end == scalars.endIndex { return self }
        return Text(bytes: Array(String(scalars[start..<end]).utf8), isMarkup: isMarkup)
    }

    /// Python's `strip`: white space, or the code points of `characters`.
    func stripped(left: Bool = true, right: Bool = true, characters: Text? = nil) -> Text {
        guard let characters else { return stripped(left: left, right: right) { $0.isPythonSpace } }
        let set = Set(characters.scalars)
        return stripped(left: left, right: right) { set.contains($0) }
    }

    /// - Parameter count: most replacements; below 0: all.
    func replacing(_ old: Text, with new: Text, count: Int = -1) -> Text {
        guard count != 0 else { return self }
        var result: [UInt8] = []
        var remaining = count
        if old.isEmpty {
            for character in characters {
                if remaining != 0 {
                    result += new.bytes
                    remaining -= 1
                }
                result += character.bytes
            }
            if remaining != 0 { result += new.bytes }
            return Text(bytes: result, isMarkup: isMarkup)
        }
        var position = 0
        while remaining != 0, let found = firstOffset(of: old, from: position) {
            result += bytes[position..<found]
            result += new.bytes
            position = found + old.bytes.count
            remaining -= 1
        }
        if position == 0 { return self }
        result += bytes[position...]
        return Text(bytes: result, isMarkup: isMarkup)
    }

    /// Python's `split` at a separator that is not empty. - Parameter limit: most splits; below 0: all.
    func split(at separator: Text, limit: Int) -> [Text] {
        var result: [Text] = []
        var position = 0
        while limit < 0 || result.count < limit, let found = firstOffset(of: separator, from: position) {
            result.append(Text(bytes[position..<found], isMarkup: isMarkup))
            position = found + separator.bytes.count
        }
        result.append(Text(bytes[position...], isMarkup: isMarkup))
        return result
    }

    /// Python's `rsplit` at a separator that is not empty.
    func splitFromRight(at separator: Text, limit: Int) -> [Text] {
        if limit < 0 { return splitFromRightAll(at: separator) }
        var result: [Text] = []
        var end = bytes.count
        while result.count < limit, let found = lastOffset(of: separator, to: end) {
            result.append(Text(bytes[(found + separator.bytes.count)..<end], isMarkup: isMarkup))
            end = found
        }
        result.append(Text(bytes[..<end], isMarkup: isMarkup))
        return result.reversed()
    }

    private func splitFromRightAll(at separator: Text) -> [Text] {
        // Overlapping separators are found from the right: 'aaa' at 'aa' gives 'a' and ''.
        let reversedText = Text(bytes: bytes.reversed()), reversedSeparator = Text(bytes: separator.bytes.reversed())
        return reversedText.split(at: reversedSeparator, limit: -1).reversed()
            .map { Text(bytes: $0.bytes.reversed(), isMarkup: isMarkup) }
    }

    /// Python's `split()` and `rsplit()` at runs of white space.
    func splitAtSpace(limit: Int, fromRight: Bool) -> [Text] {
        let scalars = fromRight ? Array(self.scalars.reversed()) : Array(self.scalars)
        var result: [[Unicode.Scalar]] = []
        var position = 0
        while true {
            while position < scalars.count, scalars[position].isPythonSpace { position += 1 }
            guard position < scalars.count else { break }
            if limit >= 0, result.count >= limit {
                // White space at the far end stays, as in Python.
                result.append(Array(scalars[position...]))
                break
            }
            let start = position
            while position < scalars.count, !scalars[position].isPythonSpace { position += 1 }
            result.append(Array(scalars[start..<position]))
        }
        let words = result.map { Text(scalars: fromRight ? $0.reversed() : $0).marked(isMarkup) }
        return fromRight ? words.reversed() : words
    }

    func lines(keepingEnds: Bool) -> [Text] {
        var result: [Text] = []
        var line: [UInt8] = []
        let scalars = self.scalars
        var index = scalars.startIndex
        while index < scalars.endIndex {
            let scalar = scalars[index]
            index = scalars.index(after: index)
            guard scalar.isLineBreak else {
                line.append(contentsOf: UTF8.encode(scalar)!)
                continue
            }
            var end = Array(UTF8.encode(scalar)!)
            if scalar == "\r", index < scalars.endIndex, scalars[index] == "\n" {
                end.append(0x0A)
                index = scalars.index(after: index)
            }
            result.append(Text(bytes: keepingEnds ? line + end : line, isMarkup: isMarkup))
            line = []
        }
        if !line.isEmpty { result.append(Text(bytes: line, isMarkup: isMarkup)) }
        return result
    }
}

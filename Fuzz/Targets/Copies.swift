import CheckpointCopies

extension FuzzTarget {
    /// The list of a copy's files, as a place may give it; and, after a NUL, an address.
    static let copy = FuzzTarget(name: "copy") { bytes in
        let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
        if parts.count > 1, let address = try? PlaceAddress(String(decoding: parts[1], as: UTF8.self), key: "place") {
            guard (try? PlaceAddress(address.text, key: "place")) == address else {
                throw BrokenPromise("what a person reads of an address is that address")
            }
            if case .ssh(_, let host, _, let path) = address {
                let plain = (host + path).utf8.allSatisfy { $0 > 0x2c && $0 < 0x7b && $0 != 0x3b && $0 != 0x60 }
                guard plain, !host.hasPrefix("-") else { throw BrokenPromise("no shell takes an address apart") }
            }
        }
        guard let list = CopyManifest(parts[0]) else { return }
        guard CopyManifest(Array(list.text.utf8)) == list else {
            throw BrokenPromise("a list is read as it was written")
        }
        for file in list.files where file.name.hasPrefix("/") || file.name.split(separator: "/").contains("..") {
            throw BrokenPromise("a copy has no file outside of its folder")
        }
    }
}

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
            if case .s3(let bucket, let prefix) = address {
                let isPlain = (bucket + prefix).utf8.allSatisfy { $0 > 0x2c && $0 < 0x7b && $0 != 0x3b && $0 != 0x60 }
                guard isPlain, !bucket.contains("/") else { throw BrokenPromise("a key needs no quotes") }
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

extension FuzzTarget {
    /// An answer of a store of objects; and, after a NUL, a user's file of profiles.
    static let store = FuzzTarget(name: "store") { bytes in
        let parts = bytes.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
        if let listing = S3Listing(parts[0]), listing.next?.isEmpty == true {
            throw BrokenPromise("a list that is cut says where it goes on")
        }
        if let refusal = S3Refusal(parts[0]),
            (refusal.code + refusal.message).unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7f })
        {
            throw BrokenPromise("a refusal is one line")
        }
        _ = S3Upload.list(parts[0])
        guard parts.count > 1 else { return }
        let text = String(decoding: parts[1], as: UTF8.self)
        guard let account = try? S3Account(environment: ["HOME": ""], read: { _ in text }) else { return }
        let fields = [account.keyID, account.secret, account.token ?? "", account.endpoint ?? "", account.region]
        guard fields.allSatisfy({ $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } }) else {
            throw BrokenPromise("no key ends a line of a request's head")
        }
        let url = S3Request(.get, key: text).url(of: "bucket", at: account)
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else { throw BrokenPromise("an address is plain") }
    }
}

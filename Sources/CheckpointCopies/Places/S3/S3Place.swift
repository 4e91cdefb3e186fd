import Files
import Foundation
import Hashing
import Locking
import Wording

/// A prefix in a bucket of an S3 store.
///
/// An object can be replaced at once, and not renamed. So the files of a copy are below a folder whose name comes from
/// their list, `step-000010/3f2a.../model/...`, and `step-000010/complete` is written last: with it the copy is whole, and
/// one that was there before is replaced. What is below other folders of that step is removed then.
package final class S3Place: CopyPlace {
    package let name: String
    private let client: S3Client
    /// What the keys of all objects begin with; it is empty or ends with a slash.
    private let base: String
    /// Bytes of a file from which on it is sent in parts, and of a part.
    private let partSize: UInt64
    private let state = Locked(State())

    private struct State {
        /// Whether the store takes checksums.
        var sendsChecksums = true
        /// Whether what an earlier process has left half-way was looked for.
        var hasTidied = false
    }

    /// Bytes of a part, as long as there are not too many.
    package static let partSize: UInt64 = 64 << 20

    /// - Parameters:
    ///   - prefix: what the keys begin with; it may be empty.
    package init(bucket: String, prefix: String, sender: any S3Sending, partSize: UInt64 = S3Place.partSize) {
        name = PlaceAddress.s3(bucket: bucket, prefix: prefix).text
        client = S3Client(sender: sender, bucket: bucket, place: name)
        base = prefix.isEmpty ? "" : "\(prefix)/"
        self.partSize = partSize
    }

    /// The folder of a copy's files, by their list.
    package static func folder(of manifest: CopyManifest) -> String {
        var hash = SHA256()
        hash.update(Array(manifest.text.utf8))
        return String(hash.hexDigest.prefix(16))
    }

    package func list() throws(PlaceError) -> PlacedCopies {
        var names: [String: Bool] = [:]
        for object in try client.list("\(base)step-") {
            let path = object.key.dropFirst(base.utf8.count).split(separator: "/", maxSplits: 1)
            guard path.count == 2 else { continue }
            names[String(path[0])] = names[String(path[0])] == true || path[1] == CopyManifest.fileName[...]
        }
        var copies = PlacedCopies()
        for (name, isComplete) in names { copies.add(name, isComplete: isComplete) }
        return copies
    }

    package func read(_ path: String, limit: Int) throws(PlaceError) -> [UInt8]? {
        var request = S3Request(.get, key: base + path)
        request.limit = UInt64(limit)
        switch try client.call(request, awaiting: ["NoSuchKey"]) {
        case .answer(let answer): return answer.body
        case .refused: return nil
        }
    }

    package func write(_ bytes: [UInt8], to path: String) throws(PlaceError) {
        var request = S3Request(.put, key: base + path)
        request.body = .bytes(bytes)
        var hash = SHA256()
        hash.update(bytes)
        request.digest = hash.hexDigest
        try client.ask(request)
    }

    package func delete(_ path: String) throws(PlaceError) { try client.delete(base + path) }

    package func put(_ source: String, as name: String, _ manifest: CopyManifest) throws(PlaceError) {
        if !state.withLock({ $0.hasTidied }) {
            try client.endUploads("\(base)step-")
            state.withLock { $0.hasTidied = true }
        }
        let folder = "\(name)/\(Self.folder(of: manifest))"
        for file in manifest.files {
            let upload = S3Sent(path: "\(source)/\(file.name)", key: "\(base)\(folder)/\(file.name)", file: file)
            try send(upload)
        }
        let there = try sizes(of: name, manifest)
        if let file = manifest.files.first(where: { there[$0.name] != $0.size }) {
            let found = there[file.name].map { "has \($0) bytes there, not \(file.size)" } ?? "is not there"
            throw PlaceError(self.name, "\(name) has not arrived as it was: \(file.name) \(found)")
        }
        try write(Array(manifest.text.utf8), to: "\(name)/\(CopyManifest.fileName)")
        for object in try client.list("\(base)\(name)/") {
            if object.key.hasPrefix("\(base)\(folder)/") || object.key == "\(base)\(name)/\(CopyManifest.fileName)" {
                continue
            }
            try client.delete(object.key)
        }
    }

    package func sizes(of name: String, _ manifest: CopyManifest) throws(PlaceError) -> [String: UInt64] {
        let prefix = "\(base)\(name)/\(Self.folder(of: manifest))/"
        var sizes: [String: UInt64] = [:]
        for object in try client.list(prefix) {
            sizes[String(object.key.dropFirst(prefix.utf8.count))] = object.size
        }
        return sizes
    }

    package func get(_ name: String, _ manifest: CopyManifest, into target: String) throws(PlaceError) {
        for file in manifest.files {
            let path = "\(target)/\(file.name)"
            do { try FileTree.createFolder(FileTree.parent(of: path)) } catch {
                throw PlaceError(self.name, "\(error)")
            }
            var request = S3Request(.get, key: "\(base)\(name)/\(Self.folder(of: manifest))/\(file.name)")
            request.sink = .file(path)
            request.limit = file.size
            try client.ask(request)
        }
    }

    package func remove(_ name: String) throws(PlaceError) {
        // What is half gone must not look whole.
        try delete("\(name)/\(CopyManifest.fileName)")
        for object in try client.list("\(base)\(name)/") { try client.delete(object.key) }
    }

    package func stop() { client.sender.stop() }

    // MARK: Sending

    /// A file, and the object that it becomes.
    private struct S3Sent {
        var path: String
        var key: String
        var file: CopiedFile
    }

    /// Sends a file, and sees to it that the store has it as it is here: a store says what SHA-256 it has computed of what
    /// it has received; from one that does not, the object is read back.
    private func send(_ sent: S3Sent) throws(PlaceError) {
        let parts = S3Parts.plan(of: sent.file.size, size: partSize)
        let isKnown: Bool
        if parts.count == 1 {
            var request = S3Request(.put, key: sent.key)
            request.body = .file(path: sent.path, offset: 0, count: sent.file.size)
            request.digest = sent.file.digest
            isKnown = try send(request).isKnown
        } else {
            isKnown = try send(sent, in: parts)
        }
        guard !isKnown else { return }
        var request = S3Request(.get, key: sent.key)
        request.sink = .digest
        request.limit = sent.file.size
        guard try client.ask(request).digest == sent.file.digest else {
            throw PlaceError(name, "\(sent.file.name) has not arrived as it was: it has a wrong checksum there")
        }
    }

    /// Sends a request with a checksum of its body.
    /// - Returns: whether the store has compared it.
    private func send(_ request: S3Request) throws(PlaceError) -> (answer: S3Answer, isKnown: Bool) {
        let checksum = Self.base64(request.digest)
        let (answer, isTaken) = try ask(request, with: ("x-amz-checksum-sha256", checksum))
        guard isTaken, let theirs = answer.checksum else { return (answer, false) }
        guard theirs == checksum else {
            throw PlaceError(name, "\(request.key ?? "") has not arrived as it was: it has a wrong checksum there")
        }
        return (answer, true)
    }

    /// Asks with a field that not every store knows, and without it where it is refused.
    private func ask(
        _ request: S3Request, with field: (name: String, value: String)
    ) throws(PlaceError) -> (answer: S3Answer, isTaken: Bool) {
        guard state.withLock({ $0.sendsChecksums }) else { return (try client.ask(request), false) }
        var asked = request
        asked.fields.append(field)
        if case .answer(let answer) = try client.call(asked, awaiting: Self.unknownField) { return (answer, true) }
        let answer = try client.ask(request)
        // It was this field that it does not know.
        state.withLock { $0.sendsChecksums = false }
        return (answer, false)
    }

    /// How stores refuse a field that they do not know.
    private static let unknownField: Set<String> = ["NotImplemented", "InvalidArgument", "InvalidRequest"]

    /// Sends a file in parts, and leaves none behind where that fails.
    /// - Returns: whether the store has compared the checksums of all.
    private func send(_ sent: S3Sent, in parts: [(offset: UInt64, count: UInt64)]) throws(PlaceError) -> Bool {
        var begin = S3Request(.post, key: sent.key, query: [("uploads", "")])
        begin.body = .bytes([])
        let answer = try ask(begin, with: ("x-amz-checksum-algorithm", "SHA256")).answer
        guard let root = XMLElement(answer.body), let id = root["UploadId"], !id.isEmpty else {
            throw PlaceError(name, "it does not say how an upload in parts is called; give the address of an S3 store")
        }
        let upload = S3Upload(key: sent.key, id: id)
        do {
            return try send(sent, in: parts, of: upload)
        } catch {
            // Where this fails too, the next process ends it.
            try? client.endUpload(upload)
            state.withLock { $0.hasTidied = false }
            throw error
        }
    }

    private func send(
        _ sent: S3Sent, in parts: [(offset: UInt64, count: UInt64)], of upload: S3Upload
    ) throws(PlaceError) -> Bool {
        var whole = SHA256(), list = "", areKnown = true
        for (index, part) in parts.enumerated() {
            var request = S3Request(
                .put, key: sent.key, query: [("partNumber", "\(index + 1)"), ("uploadId", upload.id)])
            request.body = .file(path: sent.path, offset: part.offset, count: part.count)
            do { request.digest = try FileDigest.of(sent.path, part.offset, part.count, whole: &whole) } catch {
                throw PlaceError(name, "\(error)")
            }
            let (answer, isKnown) = try send(request)
            guard let tag = answer.etag, tag.utf8.allSatisfy({ (0x21...0x7e).contains($0) && !"<>&".utf8.contains($0) })
            else {
                throw PlaceError(name, "it does not say what it has called a part; give the address of an S3 store")
            }
            areKnown = areKnown && isKnown
            let checksum = isKnown ? "<ChecksumSHA256>\(Self.base64(request.digest))</ChecksumSHA256>" : ""
            list += "<Part><PartNumber>\(index + 1)</PartNumber><ETag>\(tag)</ETag>\(checksum)</Part>"
        }
        guard whole.hexDigest == sent.file.digest else {
            throw PlaceError(name, "\(sent.path) is no longer what it was; it is copied again")
        }
        var end = S3Request(.post, key: sent.key, query: [("uploadId", upload.id)])
        let body = Array(
            "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\(list)</CompleteMultipartUpload>"
                .utf8)
        end.body = .bytes(body)
        var hash = SHA256()
        hash.update(body)
        end.digest = hash.hexDigest
        // An answer that was lost may have been that it is done; sizes are compared in any case.
        _ = try client.call(end, awaiting: ["NoSuchUpload"])
        return areKnown
    }

    /// Hexadecimal digits as base 64.
    private static func base64(_ digest: String) -> String {
        let digits = Array(digest.utf8)
        let bytes = stride(from: 0, to: digits.count - 1, by: 2).map { index in
            UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) ?? 0
        }
        return Data(bytes).base64EncodedString()
    }
}

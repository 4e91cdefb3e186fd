import CheckpointCopies
import Files
import Foundation
import Hashing
import Locking

/// A store in memory, as ``S3Place`` sees it.
final class FakeStore: S3Sending {
    struct State {
        var objects: [String: [UInt8]] = [:]
        /// Parts of uploads under way, by upload and number.
        var uploads: [String: (key: String, parts: [Int: [UInt8]])] = [:]
        var requests: [S3Request] = []
        var pauses: [Duration] = []
        /// What requests are answered with before any other thing; nil: as usual.
        var answers: [S3Answer?] = []
        /// Requests after which nothing is answered any more; nil: it lasts.
        var life: Int?
        /// Whether it computes checksums, and whether it knows the field.
        var hasChecksums = true, knowsChecksums = true
        /// Objects in a part of a list.
        var page = 3
        var canRenew = false
        var isStopped = false
    }

    let state = Locked(State())

    var objects: [String: [UInt8]] { state.withLock { $0.objects } }

    func pause(_ duration: Duration) { state.withLock { $0.pauses.append(duration) } }
    func renew() -> Bool { state.withLock { $0.canRenew } }
    func stop() { state.withLock { $0.isStopped = true } }

    func send(_ request: S3Request) throws(S3Failure) -> S3Answer {
        let body: [UInt8]
        switch request.body {
        case .none: body = []
        case .bytes(let bytes): body = bytes
        case .file(let path, let offset, let count):
            guard let data = FileManager.default.contents(atPath: path) else { throw S3Failure("\(path) is gone") }
            body = Array(data.dropFirst(Int(offset)).prefix(Int(count)))
        }
        let answer = try state.withLock { state throws(S3Failure) in try Self.answer(request, body, &state) }
        guard (200..<300).contains(answer.status) else { return answer }
        guard answer.body.count <= Int(request.limit) else { throw S3Failure("too long", isFinal: true) }
        var kept = answer
        switch request.sink {
        case .memory: break
        case .digest:
            kept.digest = Self.digest(answer.body)
            kept.body = []
        case .file(let path):
            _ = FileManager.default.createFile(atPath: path, contents: Data(answer.body))
            kept.body = []
        }
        return kept
    }

    static func digest(_ bytes: [UInt8]) -> String {
        var hash = SHA256()
        hash.update(bytes)
        return hash.hexDigest
    }

    static func refusal(_ status: Int, _ code: String, _ message: String = "") -> S3Answer {
        S3Answer(
            status: status,
            body: Array("<Error><Code>\(code)</Code><Message>\(message)</Message></Error>".utf8))
    }

    private static func answer(
        _ request: S3Request, _ body: [UInt8], _ state: inout State
    ) throws(S3Failure) -> S3Answer {
        if state.isStopped { throw S3Failure("it was stopped", isFinal: true) }
        if let life = state.life {
            guard life > 0 else { throw S3Failure("the machine is lost", isFinal: true) }
            state.life = life - 1
        }
        state.requests.append(request)
        if !state.answers.isEmpty, let answer = state.answers.removeFirst() { return answer }
        guard digest(body) == request.digest else { return refusal(400, "XAmzContentSHA256Mismatch") }
        let query = Dictionary(uniqueKeysWithValues: request.query.map { ($0.name, $0.value) })
        let checksum = request.fields.first { $0.name == "x-amz-checksum-sha256" }?.value
        if !state.knowsChecksums, !request.fields.isEmpty { return refusal(501, "NotImplemented") }
        var done = S3Answer(status: 200)
        switch request.method {
        case .get where request.key == nil && query["uploads"] != nil:
            let uploads = state.uploads.map { "<Upload><Key>\($1.key)</Key><UploadId>\($0)</UploadId></Upload>" }
            done.body = Array("<ListMultipartUploadsResult>\(uploads.joined())</ListMultipartUploadsResult>".utf8)
        case .get where request.key == nil:
            let start = query["continuation-token"] ?? ""
            let keys = state.objects.keys.sorted().filter { $0.hasPrefix(query["prefix"] ?? "") && $0 > start }
            let shown = keys.prefix(state.page)
            var text = shown.map {
                "<Contents><Key>\($0)</Key><Size>\(state.objects[$0]?.count ?? 0)</Size></Contents>"
            }.joined()
            let isCut = keys.count > shown.count
            text += "<IsTruncated>\(isCut)</IsTruncated>"
            if isCut { text += "<NextContinuationToken>\(shown.last ?? "")</NextContinuationToken>" }
            done.body = Array("<?xml version=\"1.0\"?>\n<ListBucketResult>\(text)</ListBucketResult>".utf8)
        case .get:
            guard let bytes = request.key.flatMap({ state.objects[$0] }) else { return refusal(404, "NoSuchKey") }
            done.body = bytes
        case .put:
            if state.hasChecksums { done.checksum = checksum }
            if let id = query["uploadId"] {
                guard let number = query["partNumber"].flatMap({ Int($0) }), state.uploads[id] != nil else {
                    return refusal(404, "NoSuchUpload")
                }
                state.uploads[id]?.parts[number] = body
                done.etag = "\"part-\(number)\""
            } else {
                state.objects[request.key ?? ""] = body
            }
        case .post where query["uploads"] != nil:
            let id = "upload/\(state.requests.count)"
            state.uploads[id] = (request.key ?? "", [:])
            done.body = Array(
                "<InitiateMultipartUploadResult><UploadId>\(id)</UploadId></InitiateMultipartUploadResult>".utf8)
        case .post:
            guard let id = query["uploadId"], let upload = state.uploads.removeValue(forKey: id) else {
                return refusal(404, "NoSuchUpload")
            }
            let text = String(decoding: body, as: UTF8.self)
            var bytes: [UInt8] = []
            for number in upload.parts.keys.sorted() {
                guard text.contains("<PartNumber>\(number)</PartNumber><ETag>\"part-\(number)\"</ETag>") else {
                    return refusal(400, "InvalidPart")
                }
                bytes += upload.parts[number] ?? []
            }
            state.objects[upload.key] = bytes
        case .delete:
            if let id = query["uploadId"] {
                state.uploads[id] = nil
            } else {
                state.objects[request.key ?? ""] = nil
            }
            done.status = 204
        }
        return done
    }
}

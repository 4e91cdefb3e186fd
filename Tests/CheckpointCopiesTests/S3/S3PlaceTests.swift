import CheckpointCopies
import Files
import Foundation
import Hashing
import TestSupport
import Testing

/// Copies in a store of objects, made and brought back.
@Suite(.timeLimit(.minutes(5))) struct S3PlaceTests {
    let temporary: TemporaryFolder
    let store = FakeStore()
    let place: S3Place

    init() throws {
        temporary = try TemporaryFolder()
        place = S3Place(bucket: "bucket", prefix: "runs/a", sender: store, partSize: 1000)
    }

    /// Writes a copy's files: a large one, a small one and an empty one.
    private func files(_ word: String) throws -> (folder: String, manifest: CopyManifest) {
        let folder = "\(temporary.path)/\(word)"
        let texts = ["manifest": word, "model/model.safetensors": String(repeating: word, count: 700), "records/x": ""]
        var listed: [CopiedFile] = []
        for (name, text) in texts.sorted(by: { $0.key < $1.key }) {
            try FileTree.createFolder(FileTree.parent(of: "\(folder)/\(name)"))
            try writeText(text, to: "\(folder)/\(name)")
            listed.append(
                CopiedFile(name: name, size: UInt64(text.utf8.count), digest: FakeStore.digest(Array(text.utf8))))
        }
        return (folder, CopyManifest(files: listed))
    }

    @discardableResult private func put(_ word: String, as name: String, to place: S3Place? = nil) throws
        -> CopyManifest
    {
        let (folder, manifest) = try files(word)
        try (place ?? self.place).put(folder, as: name, manifest)
        return manifest
    }

    /// What is gone on from: the word that the newest copy is of.
    private func fetched() throws -> String? {
        var refused: [String] = []
        let folder = "\(temporary.path)/fetched"
        _ = try CopyFetch(S3Place(bucket: "bucket", prefix: "runs/a", sender: store)) { refused.append($0) }
            .fetch(into: folder)
        #expect(refused.isEmpty)
        return readText("\(folder)/manifest")
    }

    @Test func aCopyIsBroughtBackAsItWas() throws {
        let manifest = try put("one", as: "step-000002")
        let folder = "runs/a/step-000002/\(S3Place.folder(of: manifest))"
        #expect(
            store.objects.keys.sorted()
                == [
                    "\(folder)/manifest", "\(folder)/model/model.safetensors", "\(folder)/records/x",
                    "runs/a/step-000002/complete",
                ].sorted())
        #expect(try place.list() == PlacedCopies(complete: [2]))
        #expect(try place.manifest(of: "step-000002") == manifest)
        let target = "\(temporary.path)/target"
        try place.get("step-000002", manifest, into: target)
        #expect(readText("\(target)/model/model.safetensors") == String(repeating: "one", count: 700))
        #expect(readText("\(target)/records/x") == "")
        try place.remove("step-000002")
        #expect(store.objects.isEmpty && store.state.withLock { $0.uploads.isEmpty })
    }

    @Test func smallObjects() throws {
        #expect(try place.read("latest", limit: 9) == nil)
        try place.write(Array("step".utf8), to: "latest")
        #expect(try place.read("latest", limit: 9) == Array("step".utf8))
        #expect(throws: PlaceError.self) { try place.read("latest", limit: 3) }
        try place.delete("latest")
        try place.delete("latest")
        try place.probe()
        #expect(store.objects.isEmpty)
    }

    /// Large files go in parts, none of which is larger, and each with its checksum.
    @Test func largeFilesGoInParts() throws {
        try put("one", as: "step-000002")
        let sent = store.state.withLock { $0.requests }.filter { $0.method == .put && !$0.query.isEmpty }
        #expect(sent.map(\.query).map { $0.map(\.name) } == Array(repeating: ["partNumber", "uploadId"], count: 3))
        #expect(sent.allSatisfy { $0.fields.first?.name == "x-amz-checksum-sha256" })
        #expect(!store.state.withLock { $0.requests }.contains { $0.sink == .digest }, "nothing is read back")
    }

    /// What a store does not compute is read back; and what it does not know is not sent again.
    @Test(arguments: [true, false]) func withoutChecksumsThereIsReadBack(_ knows: Bool) throws {
        store.state.withLock {
            $0.hasChecksums = false
            $0.knowsChecksums = knows
        }
        try put("one", as: "step-000002")
        let requests = store.state.withLock { $0.requests }
        #expect(requests.count { $0.sink == .digest } == 3)
        #expect(requests.count { !$0.fields.isEmpty } == (knows ? 6 : 1))
        #expect(try place.list() == PlacedCopies(complete: [2]))
    }

    @Test func whatDoesNotArriveIsNoCopy() throws {
        store.state.withLock { $0.hasChecksums = false }
        var wrong = S3Answer(status: 200)
        wrong.checksum = "AAAA"
        store.state.withLock { $0.answers = [nil, wrong] }
        let error = #expect(throws: PlaceError.self) { try put("one", as: "step-000002") }
        #expect(error?.message.contains("has a wrong checksum there") == true)
        #expect(try place.list() == PlacedCopies())
        // One that says it has what it has not.
        store.state.withLock { $0.answers = [S3Answer(status: 200)] }
        let other = #expect(throws: PlaceError.self) { try put("one", as: "step-000002") }
        #expect(other?.message.contains("manifest") == true)
        #expect(try place.list().complete.isEmpty)
    }

    /// Wherever the machine is lost while a copy is replaced, one of both is there whole; and the next process leaves nothing
    /// of what was begun.
    @Test func whileACopyIsReplacedOneIsWhole() throws {
        var found: [String] = [], isDone = false
        for life in 0..<200 where !isDone {
            store.state.withLock { $0 = FakeStore.State() }
            try put("one", as: "step-000002")
            store.state.withLock { $0.life = life }
            isDone = (try? put("two", as: "step-000002")) != nil
            store.state.withLock { $0.life = nil }
            // This place has the list of the one, or of the other.
            let manifest = try #require(try place.manifest(of: "step-000002"))
            let word = manifest == (try files("one").manifest) ? "one" : "two"
            let target = "\(temporary.path)/target"
            try? FileTree.remove(target)
            try place.get("step-000002", manifest, into: target)
            #expect(readText("\(target)/model/model.safetensors") == String(repeating: word, count: 700))
            #expect(try place.sizes(of: "step-000002", manifest).count == 3)
            found.append(word)
            let next = S3Place(bucket: "bucket", prefix: "runs/a", sender: store, partSize: 1000)
            try put("two", as: "step-000002", to: next)
            #expect(store.objects.count == 4 && store.state.withLock { $0.uploads.isEmpty })
        }
        #expect(isDone && found.first == "one" && found.last == "two")
        #expect(found == found.sorted())
    }

    @Test func aFailedUploadIsGivenUp() throws {
        // The first object, and the beginning of the upload in parts.
        store.state.withLock { $0.answers = [nil, nil, nil, FakeStore.refusal(400, "EntityTooSmall", "odd")] }
        let error = #expect(throws: PlaceError.self) { try put("one", as: "step-000002") }
        #expect(error?.message.contains("EntityTooSmall: odd") == true)
        #expect(store.state.withLock { $0.uploads.isEmpty })
        #expect(try place.list() == PlacedCopies(partial: ["step-000002"]))
    }

    // MARK: Failures

    private func message(_ answer: S3Answer) -> String? {
        let store = FakeStore()
        store.state.withLock { $0.answers = Array(repeating: answer, count: 9) }
        let place = S3Place(bucket: "bucket", prefix: "", sender: store)
        let error = #expect(throws: PlaceError.self) { try place.list() }
        #expect(error?.message.hasPrefix("s3://bucket: ") == true && error?.message.contains("\n") == false)
        return error?.message
    }

    @Test(arguments: [
        (404, "NoSuchBucket", "there is no bucket 'bucket'; make it"),
        (403, "InvalidAccessKeyId", "credentials are refused (InvalidAccessKeyId); check"),
        (403, "SignatureDoesNotMatch", "credentials are refused (SignatureDoesNotMatch); check"),
        (403, "AccessDenied", "access to the bucket 'bucket' is denied (AccessDenied: it says\u{20}so); its"),
        (403, "RequestTimeTooSkewed", "the clock"), (400, "ExpiredToken", "credentials have expired"),
        (400, "Odd", "GET of the bucket: Odd: it says so"),
    ])
    func aRefusalIsOneLineThatSaysWhatToDo(_ status: Int, _ code: String, _ words: String) {
        let message = message(FakeStore.refusal(status, code, "it says\nso"))
        #expect(message?.contains(words) == true, "\(message ?? "")")
    }

    @Test func aBucketElsewhereIsNamedWithItsRegion() {
        var answer = FakeStore.refusal(301, "PermanentRedirect")
        answer.region = "eu-west-1"
        #expect(message(answer)?.contains("is in the region eu-west-1; set AWS_REGION=eu-west-1") == true)
        #expect(message(S3Answer(status: 200, body: Array("<html/>".utf8)))?.contains("is none of S3's") == true)
        #expect(message(S3Answer(status: 404))?.contains("status 404") == true)
    }

    @Test func aBusyStoreIsAskedAgain() throws {
        store.state.withLock {
            $0.answers = [
                FakeStore.refusal(503, "SlowDown"), S3Answer(status: 500), FakeStore.refusal(400, "RequestTimeout"),
            ]
        }
        #expect(try place.list() == PlacedCopies())
        #expect(store.state.withLock { $0.pauses } == [.milliseconds(500), .seconds(1), .seconds(2)])
        store.state.withLock { $0.answers = Array(repeating: FakeStore.refusal(503, "SlowDown", "less"), count: 9) }
        let error = #expect(throws: PlaceError.self) { try place.list() }
        #expect(error?.message.contains("SlowDown: less") == true)
        #expect(store.state.withLock { $0.answers.count } == 4, "five attempts")
    }

    @Test func newKeysTakeThePlaceOfExpiredOnes() throws {
        store.state.withLock {
            $0.answers = [FakeStore.refusal(400, "ExpiredToken")]
            $0.canRenew = true
        }
        #expect(try place.list() == PlacedCopies())
        store.state.withLock { $0.answers = Array(repeating: FakeStore.refusal(400, "ExpiredToken"), count: 3) }
        #expect(throws: PlaceError.self) { try place.list() }
    }

    /// An upload may end with a refusal after its answer has begun, and its answer be lost.
    @Test func theEndOfAnUploadIsRead() throws {
        let parts = [S3Answer?](repeating: nil, count: 6)
        store.state.withLock { $0.answers = parts + [FakeStore.refusal(200, "InternalError")] }
        try put("one", as: "step-000002")
        #expect(store.state.withLock { $0.pauses } == [.milliseconds(500)])
        #expect(try place.list() == PlacedCopies(complete: [2]))
    }

    @Test func onceStoppedNothingIsAsked() throws {
        place.stop()
        #expect(throws: PlaceError.self) { try place.list() }
        #expect(store.state.withLock { $0.requests.isEmpty })
    }

    @Test func foreignObjectsAreLeftAlone() throws {
        store.state.withLock {
            $0.objects["runs/ab/step-000001/complete"] = []
            $0.objects["runs/a/step-"] = []
            $0.objects["runs/a/step-x/complete"] = []
            $0.objects["runs/a/step-000004"] = []
            $0.objects["runs/a/step-000006/model"] = []
        }
        #expect(try place.list() == PlacedCopies(partial: ["step-000006"]))
    }
}

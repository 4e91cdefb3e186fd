import CheckpointCopies
import Testing
import Wording

/// Addresses of places, and the list of a copy's files.
@Suite struct CopyFormatTests {
    @Test(arguments: [
        ("/mnt/copies/", PlaceAddress.folder("/mnt/copies")),
        ("copies", .folder("copies")),
        ("file:///mnt/copies", .folder("/mnt/copies")),
        ("ssh://me@box.example/data/run-1", .ssh(user: "me", host: "box.example", port: nil, path: "/data/run-1")),
        ("ssh://box:2222/~/run", .ssh(user: nil, host: "box", port: 2222, path: "run")),
        ("s3://bucket.a/runs/1/", .s3(bucket: "bucket.a", prefix: "runs/1")),
        ("s3://bucket", .s3(bucket: "bucket", prefix: "")), ("s3://bucket/", .s3(bucket: "bucket", prefix: "")),
    ])
    func addresses(_ text: String, _ address: PlaceAddress) throws {
        #expect(try PlaceAddress(text, key: "k") == address)
        // What a person reads is an address again.
        #expect(try PlaceAddress(address.text, key: "k") == address)
    }

    @Test(arguments: [
        ("", "is no place"), ("ftp://host/x", "is none of"), ("file://host/x", "is no file:///path"),
        ("ssh://host", "names no folder"), ("ssh://host/", "names no folder"), ("ssh://host/~/", "names no folder"),
        ("ssh://me:secret@host/x", "has a password"), ("ssh://-oProxyCommand=x/y", "is no ssh://"),
        ("ssh://-v@host/x", "is no ssh://"), ("ssh://host:0/x", "has no port"), ("ssh://host:x/y", "has no port"),
        ("ssh://host/a b", "names no folder"), ("ssh://host/a/../b", "names no folder"),
        ("ssh://host/$(id)", "names no folder"), ("ssh://host/a;b", "names no folder"),
        ("ssh://host/a'b", "names no folder"), ("ssh://host/-rf", "names no folder"),
        ("s3://key:secret@bucket/x", "has more than a bucket"), ("s3://host:9000/x", "has more than a bucket"),
        ("s3://", "is no s3://bucket/prefix"), ("s3:///x", "is no s3://bucket/prefix"),
        ("s3://../x", "is no s3://bucket/prefix"), ("s3://b/a b", "names no prefix"),
        ("s3://b/a//c", "names no prefix"),
        ("s3://b/../c", "names no prefix"), ("s3://b/a?x", "names no prefix"),
        ("ssh://me:se/cret@host/x", "has no port"), ("ftp://me:secret@host/x", "is none of"),
    ])
    func otherAddressesAreRefused(_ text: String, _ why: String) {
        let error = #expect(throws: UsageError.self) { try PlaceAddress(text, key: "checkpoint.copy_to") }
        #expect(error?.message.hasPrefix("checkpoint.copy_to: ") == true && error?.message.contains(why) == true)
        #expect(error?.message.contains("cret") == false, "a password is not printed")
    }

    private static let digest = String(repeating: "0a", count: 32)
    private static let manifest = CopyManifest(files: [
        CopiedFile(name: "model/model.safetensors", size: 12, digest: digest),
        CopiedFile(name: "records/metrics.jsonl", size: 0, digest: digest),
    ])

    @Test func aListIsReadAsItWasWritten() {
        #expect(CopyManifest(Array(Self.manifest.text.utf8)) == Self.manifest)
    }

    @Test func recordsMakeNoOtherCheckpoint() {
        var other = Self.manifest
        other.files[1].size = 7
        #expect(other.hasSameCheckpoint(as: Self.manifest))
        other.files[0].size = 7
        #expect(!other.hasSameCheckpoint(as: Self.manifest))
    }

    @Test func everyCutIsSeen() {
        let bytes = Array(Self.manifest.text.utf8)
        for count in bytes.indices { #expect(CopyManifest(Array(bytes[..<count])) == nil) }
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(CopyManifest(changed) == nil)
        }
    }

    /// A list with the right checksum may still lie about where its files go.
    @Test(arguments: ["../x", "/x", "a/../../x", "a//b", "a b", "", ".", "complete", "-x", "a\u{0}b", "a;b"])
    func noNameLeadsOut(_ name: String) {
        let list = CopyManifest(files: [CopiedFile(name: name, size: 1, digest: Self.digest)])
        #expect(CopyManifest(Array(list.text.utf8)) == nil)
    }

    @Test func nothingComesTwiceAndSumsDoNotOverflow() {
        let one = CopiedFile(name: "a", size: 1, digest: Self.digest)
        var huge = one
        huge.size = .max
        for files in [[one, one], [huge], []] {
            #expect(CopyManifest(Array(CopyManifest(files: files).text.utf8)) == nil)
        }
    }
}

import CheckpointCopies
import Files
import Testing
import Wording

/// Keys, addresses, answers and parts of a store, as values.
@Suite struct S3FormatTests {
    private func account(_ variables: [String: String], _ files: [String: String] = [:]) throws -> S3Account {
        try S3Account(environment: variables.merging(["HOME": "/me"]) { old, _ in old }) { files[$0] }
    }

    private func refusal(_ variables: [String: String], _ files: [String: String] = [:]) -> String {
        let error = #expect(throws: UsageError.self) { try account(variables, files) }
        #expect(error?.message.contains("s3cret") == false && error?.message.contains("\n") == false)
        return error?.message ?? ""
    }

    private static let keys = ["AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s3cret"]

    @Test func variablesComeFirst() throws {
        let files = [
            "/me/.aws/credentials": "[default]\naws_access_key_id = other\naws_secret_access_key = x\n",
            "/me/.aws/config": "[default]\nregion = eu-west-1\nendpoint_url = http://box:9000/\n",
        ]
        let plain = try account(Self.keys, files)
        #expect(plain.keyID == "id" && plain.secret == "s3cret" && plain.token == nil)
        #expect(plain.region == "eu-west-1" && plain.endpoint == "http://box:9000")
        let variables = Self.keys.merging([
            "AWS_SESSION_TOKEN": "t", "AWS_REGION": "us-west-2", "AWS_ENDPOINT_URL": "https://b",
            "AWS_CA_BUNDLE": "/ca",
            "AWS_ENDPOINT_URL_S3": "https://a:1/x/",
        ]) { $1 }
        let other = try account(variables, files)
        #expect(other.token == "t" && other.region == "us-west-2" && other.endpoint == "https://a:1/x")
        #expect(other.authorities == "/ca")
        #expect(!"\(other)".contains("s3cret") && !"\(other)".contains("id"))
        #expect(try account(Self.keys).region == "us-east-1")
    }

    @Test func profilesHaveTheRest() throws {
        let files = [
            "/me/.aws/credentials": """
            # mine
            [default]
            aws_access_key_id=one
            aws_secret_access_key = s3cret#no-remark
            [ lab ]
            aws_access_key_id = two ; a remark
            aws_secret_access_key = s3cret=/+
            aws_session_token = t
            """,
            "/me/.aws/config": """
            [profile lab]
            region = local
            services = own
            s3 =
              addressing_style = path
            [services own]
            s3 =
              endpoint_url = https://minio.lab:9000
            """,
        ]
        #expect(try account([:], files).keyID == "one")
        #expect(try account([:], files).secret == "s3cret#no-remark")
        let lab = try account(["AWS_PROFILE": "lab"], files)
        #expect(lab.keyID == "two" && lab.secret == "s3cret=/+" && lab.token == "t")
        #expect(lab.region == "local" && lab.endpoint == "https://minio.lab:9000")
        #expect(refusal(["AWS_PROFILE": "none"], files).contains("AWS_PROFILE is 'none'"))
        let moved = try account(["AWS_SHARED_CREDENTIALS_FILE": "/c"], ["/c": files["/me/.aws/credentials"] ?? ""])
        #expect(moved.keyID == "one")
    }

    @Test func whatMakesNoSenseIsRefused() {
        #expect(refusal([:]).contains("s3:// needs credentials, and there are none; set AWS_ACCESS_KEY_ID"))
        #expect(
            refusal([:], ["/me/.aws/config": "[default]\nsso_session = x\n"]).contains(
                "has sso_session, which is not read"))
        #expect(refusal(["AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "s3cret\nx"]).contains("spaces or signs"))
        for endpoint in [
            "box:9000", "ftp://box", "https://", "https://me:s3cret@box", "https://box/?x", "https://b\r\nx",
        ] {
            #expect(
                refusal(Self.keys.merging(["AWS_ENDPOINT_URL": endpoint]) { $1 }).contains("AWS_ENDPOINT_URL_S3"),
                "\(endpoint)")
        }
        #expect(refusal(Self.keys.merging(["AWS_REGION": "a b"]) { $1 }).contains("AWS_REGION"))
        for (text, words) in [
            ("s3cret", "line 1 is no 'key = value'"), ("[a]\n\ns3cret", "line 3 is no"), ("[s3cret\n", "has no ']'"),
        ] {
            #expect(refusal([:], ["/me/.aws/credentials": text]).contains("/me/.aws/credentials: line"), "\(text)")
            #expect(refusal([:], ["/me/.aws/credentials": text]).contains(words), "\(text)")
        }
    }

    @Test func addressesOfObjects() throws {
        let aws = try account(Self.keys.merging(["AWS_REGION": "eu-west-1"]) { $1 })
        let own = try account(Self.keys.merging(["AWS_ENDPOINT_URL": "http://box:9000"]) { $1 })
        var request = S3Request(.get, key: "a/b-c_d.e~f g+h")
        #expect(request.url(of: "b", at: aws) == "https://b.s3.eu-west-1.amazonaws.com/a/b-c_d.e~f%20g%2Bh")
        #expect(request.url(of: "b", at: own) == "http://box:9000/b/a/b-c_d.e~f%20g%2Bh")
        #expect(request.url(of: "b.c", at: aws).hasPrefix("https://s3.eu-west-1.amazonaws.com/b.c/a"))
        request = S3Request(.get, query: [("list-type", "2"), ("prefix", "a/b="), ("uploads", "")])
        #expect(request.url(of: "b", at: own) == "http://box:9000/b/?list-type=2&prefix=a%2Fb%3D&uploads=")
        let china = try account(Self.keys.merging(["AWS_REGION": "cn-north-1"]) { $1 })
        #expect(S3Request(.get).url(of: "b", at: china) == "https://b.s3.cn-north-1.amazonaws.com.cn/")
    }

    @Test func listsAreRead() {
        let text = """
            <?xml version="1.0" encoding="UTF-8"?>
            <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix/>
            <Contents><Key>a&amp;b&#x3c;&#62;</Key><ETag>&quot;x&quot;</ETag><Size>12</Size></Contents>
            <Contents><Key>c</Key><Size>0</Size><Owner><ID>1</ID></Owner></Contents>
            <IsTruncated>true</IsTruncated><NextContinuationToken>t=/+</NextContinuationToken></ListBucketResult>
            """
        let listing = S3Listing(Array(text.utf8))
        #expect(listing?.objects == [.init(key: "a&b<>", size: 12), .init(key: "c", size: 0)])
        #expect(listing?.next == "t=/+")
        for (part, other) in [
            ("<Size>12</Size>", ""), ("12", "-1"), ("<IsTruncated>true</IsTruncated>", ""), ("t=/+", ""),
            ("ListBucketResult", "Result"), ("</Key>", "</Kay>"), ("&amp;", "&other;"), ("&#x3c;", "&#x110000;"),
            ("</ListBucketResult>", ""), ("<Name>", "<!DOCTYPE a><Name>"), ("<Name>", "<Name"),
        ] {
            #expect(S3Listing(Array(text.replacing(part, with: other).utf8)) == nil, "\(part) as \(other)")
        }
        for count in text.utf8.indices.map({ text.utf8.distance(from: text.startIndex, to: $0) }) {
            #expect(S3Listing(Array(text.utf8.prefix(count))) == nil)
        }
    }

    @Test func whatIsTooDeepOrTooMuchIsNotRead() {
        func nested(_ depth: Int) -> [UInt8] {
            Array((String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)).utf8)
        }
        #expect(XMLElement(nested(XMLElement.mostDepth)) != nil)
        #expect(XMLElement(nested(XMLElement.mostDepth + 1)) == nil)
        #expect(XMLElement(nested(1_000_000)) == nil)
        func wide(_ count: Int) -> [UInt8] { Array("<a>\(String(repeating: "<b/>", count: count))</a>".utf8) }
        #expect(XMLElement(wide(XMLElement.mostCount - 1))?.children.count == XMLElement.mostCount - 1)
        #expect(XMLElement(wide(XMLElement.mostCount)) == nil)
    }

    @Test func refusalsAreRead() {
        let refusal = S3Refusal(
            Array("<Error><Code>X</Code><Message>a\u{1b}[2J\nb</Message><Region>r</Region></Error>".utf8))
        #expect(refusal?.code == "X" && refusal?.message == "a [2J b" && refusal?.region == "r")
        #expect(S3Refusal([]) == nil && S3Refusal(Array("<Other/>".utf8)) == nil)
        let uploads = S3Upload.list(
            Array(
                "<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>i</UploadId></Upload></ListMultipartUploadsResult>"
                    .utf8))
        #expect(uploads == [S3Upload(key: "k", id: "i")])
    }

    @Test(arguments: [0, 1, 63, 64, 65, 128, 1000, 1 << 20] as [UInt64])
    func partsAreTheWholeFile(_ total: UInt64) {
        let parts = S3Parts.plan(of: total, size: 64)
        var end: UInt64 = 0
        for part in parts {
            #expect(part.offset == end && (part.count > 0 || total == 0))
            end += part.count
        }
        #expect(end == total && parts.count <= Int(S3Parts.most))
        #expect(parts.dropLast().allSatisfy { $0.count == parts[0].count })
    }

    /// Five tebibytes, the most that an object has.
    @Test func thereAreNeverTooManyParts() {
        let parts = S3Parts.plan(of: 5 << 40, size: S3Place.partSize)
        #expect(parts.count <= Int(S3Parts.most) && parts[0].count < 1 << 30)
        #expect(
            S3Parts.plan(of: 200 << 20, size: S3Place.partSize).map(\.count) == [64 << 20, 64 << 20, 64 << 20, 8 << 20])
    }
}

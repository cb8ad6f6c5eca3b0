//! Reading any input ends without a panic.

use crate::common::ingest;
use leftfold_connect::{Mapping, draft_mapping, read, sample};
use proptest::prelude::*;
use std::convert::Infallible;
use std::io::{BufReader, Read};
use std::sync::LazyLock;

static CAMT: LazyLock<Mapping> = LazyLock::new(|| Mapping::builtin("camt.053").unwrap());
static OFX: LazyLock<Mapping> = LazyLock::new(|| Mapping::builtin("ofx").unwrap());
static MT940: LazyLock<Mapping> = LazyLock::new(|| Mapping::builtin("mt940").unwrap());
static MT942: LazyLock<Mapping> = LazyLock::new(|| Mapping::builtin("mt942").unwrap());
static CSV: LazyLock<Mapping> =
    LazyLock::new(|| lines("csv", "a", "csv = { columns = [\"a\", \"b\"] }"));
static NDJSON: LazyLock<Mapping> = LazyLock::new(|| lines("ndjson", "/a", ""));

fn lines(format: &str, path: &str, section: &str) -> Mapping {
    Mapping::parse(&format!(
        "name = \"x\"\nformat = \"{format}\"\nstream = \"s\"\ndata = [\"a\"]\n\
         event = {{ type = \"T\", time = \"t\" }}\nid = {{ keys = [[\"a\"]] }}\n{section}\n\
         max_record_bytes = 64\n[field]\na = {{ path = \"{path}\", type = \"decimal\" }}\n\
         t = {{ path = \"{path}\", type = \"date\" }}\n"
    ))
    .unwrap()
}

/// Generates pieces of real files in any order, which find more bugs than random bytes.
fn noise(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

const XML_PIECES: &[&str] = &[
    "<Stmt>",
    "</Stmt>",
    "<Ntry>",
    "</Ntry>",
    "<NtryDtls>",
    "</NtryDtls>",
    "<TxDtls>",
    "</TxDtls>",
    "<Amt Ccy=\"EUR\">",
    "</Amt>",
    "1.50",
    "<a:Ntry",
    ">",
    "<",
    "/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?x?>",
    "<!DOCTYPE",
    "[",
    "]",
    "&amp;",
    "&#",
    ";",
    "'",
    "\"",
    "\n",
    " ",
    "ü",
    "<Bal>",
    "</Bal>",
    "<Id>",
    "</Id>",
    "<Sts>BOOK</Sts>",
    "<CdtDbtInd>CRDT</CdtDbtInd>",
];
const OFX_PIECES: &[&str] = &[
    "OFXHEADER:100\n",
    "<OFX>",
    "</OFX>",
    "<STMTRS>",
    "<CCSTMTRS>",
    "</STMTRS>",
    "<BANKTRANLIST>",
    "</BANKTRANLIST>",
    "<STMTTRN>",
    "</STMTTRN>",
    "<CURDEF>EUR",
    "<BANKACCTFROM><ACCTID>1</BANKACCTFROM>",
    "<TRNAMT>",
    "-1,50",
    "<DTPOSTED>20240131120000[-5:EST]",
    "<FITID>",
    "<MEMO>",
    "&",
    "&amp;",
    "<![CDATA[",
    "]]>",
    "<",
    ">",
    "\n",
];
const MT_PIECES: &[&str] = &[
    "{1:F01}{4:\n",
    "-}\n",
    "-\n",
    ":20:X\n",
    ":25:A\n",
    ":28C:1/1\n",
    ":60F:C240130EUR1,\n",
    ":62F:C240131EUR2,\n",
    ":34F:EUR0,\n",
    ":13D:2401311200+0100\n",
    ":61:2401310131D1,5NTRFX//Y\n",
    ":61:240131",
    ":86:166?00A?20EREF+1?21SVWZ+x?32N\n",
    ":86:/EREF/1//NAME/x/REMI/USTD//y/\n",
    ":86:",
    "?20",
    "/NAME/",
    "ü",
    "\n",
];
const LINE_PIECES: &[&str] = &[
    "{\"a\":",
    "}",
    "[",
    "]",
    "\"",
    "\\",
    "\\u00",
    ",",
    "\n",
    "\r\n",
    "1e5",
    "1.5",
    "null",
    "2024-01-31",
    "ü",
    ";",
    "'",
    " ",
    "\"a\"",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn noisy_xml_does_not_panic(bytes in noise(XML_PIECES)) {
        ingest(&CAMT, &bytes);
    }

    #[test]
    fn noisy_files_of_banks_do_not_panic(ofx in noise(OFX_PIECES), mt in noise(MT_PIECES)) {
        ingest(&OFX, &ofx);
        ingest(&MT940, &mt);
        ingest(&MT942, &mt);
    }

    #[test]
    fn noisy_lines_do_not_panic(bytes in noise(LINE_PIECES)) {
        ingest(&CSV, &bytes);
        ingest(&NDJSON, &bytes);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        ingest(&CAMT, &bytes);
        ingest(&OFX, &bytes);
        ingest(&MT940, &bytes);
        ingest(&CSV, &bytes);
        ingest(&NDJSON, &bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 200, ..ProptestConfig::with_cases(100) })]

    #[test]
    fn a_draft_of_any_file_is_a_mapping(xml in noise(XML_PIECES), lines in noise(LINE_PIECES)) {
        for bytes in [xml, lines] {
            if let Ok(draft) = draft_mapping("x", &bytes) {
                prop_assert!(Mapping::parse(&draft).is_ok(), "{}", draft);
            }
        }
    }
}

/// Returns a few bytes per read, so that reads split every token somewhere.
struct Dribble<'a>(&'a [u8], usize);

impl Read for Dribble<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let length = self.1.min(buf.len()).min(self.0.len());
        let (now, later) = self.0.split_at(length);
        buf[..length].copy_from_slice(now);
        self.0 = later;
        self.1 = self.1 % 7 + 1;
        Ok(length)
    }
}

#[test]
fn the_size_of_reads_does_not_change_the_result() {
    let text = include_bytes!("../fixtures/camt.053.001.02.xml");
    let whole = ingest(&CAMT, text);
    let mut drafts = Vec::new();
    let input = BufReader::with_capacity(1, Dribble(text, 1));
    let summary = read(&CAMT, input, &mut |item| {
        if let leftfold_connect::Item::Record(draft) = item {
            drafts.push(draft);
        }
        Ok::<(), Infallible>(())
    })
    .unwrap();
    assert_eq!(summary, whole.summary);
    assert_eq!(drafts, whole.drafts);
}

#[test]
fn a_truncated_file_yields_its_complete_records() {
    let mut file = Vec::new();
    sample::write_camt(&mut file, 1, 7).unwrap();
    let all = ingest(&CAMT, &file).drafts;
    for cut in (0..file.len()).step_by(file.len() / 97) {
        let outcome = ingest(&CAMT, &file[..cut]);
        assert_eq!(outcome.codes(), ["malformed_input"], "cut at {cut}");
        assert_eq!(outcome.drafts, all[..outcome.drafts.len()]);
    }
}

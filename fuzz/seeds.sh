#!/usr/bin/env bash
# Where the fuzzer starts: writes the vectors, the samples and the documents' examples as inputs into
# fuzz/corpus/TARGET/seed-NAME. `./test fuzz` runs it, so that a new vector is a new seed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seed() { # seed TARGET NAME < OCTETS
  mkdir -p "fuzz/corpus/$1"
  cat >"fuzz/corpus/$1/seed-$2"
}

octets() { # octets HEX...; ab*3 stands for ababab
  local word text= escaped= i
  for word in "$@"; do
    case $word in
      *\**) for ((i = 0; i < ${word#*\*}; i++)); do text+=${word%\**}; done ;;
      *) text+=$word ;;
    esac
  done
  for ((i = 0; i < ${#text}; i += 2)); do escaped+="\\x${text:i:2}"; done
  # shellcheck disable=SC2059 # the escapes are meant
  printf "$escaped"
}

lines() { grep -Ev '^ *(#|$)' "$1"; } # lines FILE: without comments
datagram() { # datagram FLAGS HEX: as the targets of the doors read it
  octets "$(printf '%04x%02x' $((${#2} / 2)) "$1")" "$2"
}

# RADIUS: whole packets, good and bad, and the same as datagrams: as they are, signed, signed and finished, twice.
while read -r name packet; do
  octets "$packet" | seed radius_packet "$name"
  { datagram 0 "$packet"; datagram 1 "$packet"; datagram 1 "$packet"; } | seed radius_door "$name"
  { datagram 3 "$packet"; datagram 1 "$packet"; } | seed radius_door "$name-finished"
done < <(lines tests/vectors/radius.txt)
while read -r name _ packet; do
  # shellcheck disable=SC2086 # a list of words on purpose
  octets $packet | seed radius_packet "bad-$name"
done < <(lines tests/vectors/radius-bad-packets.txt)
# the end of the session s-17 of nemo, with counters
stop=04030038$(printf '00%.0s' {1..16})28060000000201066e656d6f2c06732d31372a06000001002b0600000005350600000002
for flags in 1 3 5; do
  { datagram $flags "$stop"; datagram $flags "$stop"; } | seed radius_accounting "stop-$flags"
done

# LDAP: requests and answers, and what is no message.
number=0
while IFS= read -r line; do
  number=$((number + 1))
  # shellcheck disable=SC2086 # a list of words on purpose
  { octets ff; octets ${line%%=>*}; } | seed ldap_frame "bad-$number"
done < <(lines tests/vectors/bad-ldap-frames.txt)
octets ff 300c020101600702010304008000 | seed ldap_frame bind
octets ff 3025020102632004000a01020a0100020100020100010100870b6f626a656374436c6173733000 | seed ldap_frame search
octets 300c02010761070a010004000400 | seed ldap_answer yes
octets 301f020107611a0a01310400041338303039303330383a2064617461203533322c | seed ldap_answer password_expired
octets 301f020107641a0402636e301430120402636e310c04016104076d656d62657231 | seed ldap_answer entry
text=('(&(objectCategory=person)(!(cn=a\2ab*c*)))' '(|(a>=1)(b<=2)(c~=3)(d=*))' '(memberOf:1.2.840.113556.1.4.1941:=CN=x,DC=y)'
  '(:dn:2.4.6:=x)' 'CORP\alice' 'alice@corp' 'DC=corp,DC=example,DC=com' '00112233-4455-6677-8899-aabbccddeeff'
  '80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v4563')
for i in "${!text[@]}"; do printf %s "${text[i]}" | seed ldap_text "$i"; done

# The configuration: the samples, and each of its lines that name an attribute.
for file in conf/*.toml; do
  lines "$file" | seed configuration "$(basename "$file")"
done
sed 's/^\( *[a-z_]*\)_file = .*/\1_env = "ANTEROOM_SECRET"/' conf/minimal.toml | lines /dev/stdin | seed configuration accepted
line=('Filter-Id = "staff"' 'Service-Type = Framed-User' 'Tunnel-Type:1 = VLAN' 'Tunnel-Private-Group-Id:1 = 120'
  'Class = 0x0a1b' 'Framed-IP-Address = 192.0.2.7' 'Session-Timeout = 28800' 'Calling-Station-Id' 'Cisco-AVPair = "a=b"')
for i in "${!line[@]}"; do printf %s "${line[i]}" | seed radius_dictionary "$i"; done

# An export of an NPS, whole and without its policies.
seed migrate_nps whole <tests/vectors/nps-export.xml
sed '/<NetworkPolicy/,/<\/NetworkPolicy>/d' tests/vectors/nps-export.xml | seed migrate_nps without_policies

# The native protocol: an answer and an event for each state, and the header of the documentation.
about='"id":"v1","idempotency_key":"070707070707070707070707","server":"one"'
result='"result":{"approved":true,"method":"push","at":1767225600}'
for state in pending denied fraud expired undeliverable needs_code; do
  printf '{%s,"state":"%s"}\n' "$about" "$state" | seed native_message "$state"
done
printf '{%s,"state":"approved",%s}\n' "$about" "$result" | seed native_message approved
{
  echo '{"event":"hello","cursor":"c-17","resumed":true}'
  printf '{"event":"verification","cursor":"c-18","verification":{%s,"state":"pending"}}\n' "$about"
  printf '{"event":"verification","cursor":"c-19","verification":{%s,"state":"approved",%s}}\n' "$about" "$result"
} | seed native_message events
echo '{"prompt_sent":true,"time":1767225600}' | seed native_message trouble
grep -ohE 'Anteroom-HMAC-SHA256 key=[a-z0-9,=-]+' docs/native-protocol.md | grep -v KEYID | head -1 | tr -d '\n' |
  seed native_signature documentation
printf 000102030405060708090a0b | seed native_signature key

result='"result":{"approved":true,"method":"push","at":1767225600,"pin":"40927","number":"42"}'
printf '{%s,"state":"approved",%s}\n' "$about" "$result" | seed native_message approved_with_pin
echo '{"time":1767225600,"takes":["pin","number"]}' | seed native_message takes

# States in the form of ours, of both versions, each with an octet behind and what is typed with it.
typed=('' ok 123456 r push2 sms 3 40927 $'\377\001' Ünïcödé 1234567890123456789012345)
for i in "${!typed[@]}"; do
  printf '%d%064x.%s' $((1 + i % 2)) "$i" "${typed[i]}" | seed challenge_state "$i"
done
printf '1%063d' 0 | seed challenge_state short
octets 31 66*64 00 | seed challenge_state long
{ octets 'ab*12' 01 00; octets '30*52'; printf 'call'; } | seed challenge_state altered

# Files of people and tokens, one of each kind.
printf 'unique_id,name,phone\nid-1,alice,"(202) 555-0111 x7"\n' | seed import_files people
printf 'Username;First Name;Country Code;Phone;Method\nbob@corp.example;Bob;1;2025550102;Phone Call\n' | seed import_files old-server
printf 'unique_id,name,\rid-1,alice\r\rid-2,bob\n' | seed import_files lines-that-end-with-cr
printf 'upn,serial number,secret key,time interval,manufacturer,model\na@b,1,JBSWY3DPEHPK3PXP,30,x,y\n' | seed import_files tokens
printf 'otpauth://totp/Corp:alice?secret=JBSWY3DPEHPK3PXP&issuer=Corp&period=60&digits=8\n' | seed import_files otpauth
sed -n '/^const PLAIN/,/^<\/pskc:KeyContainer>/p' src/import/pskc/tests.rs | sed '1s/.*r#"//; $s/"#;$//' | seed import_files pskc
octets 0402434e30263018040a6f626a65637447554944310a040830303030303030303010040a73414d31020400 | seed import_entry entry
octets 300d020207d00407706167652d3137 | seed import_entry cookie

# What clouds answer: an octet for whose and which answer, one for the status (0 is 200, 1 is 201, 4 is 400), the body.
entra='xmlns:i="http://www.w3.org/2001/XMLSchema-instance"'
xml() { # xml ROOT VALUE RESULT
  printf '<%s %s><Version>1.0</Version><Result><Value>%s</Value><Retry>false</Retry></Result>' "$1" "$entra" "$2"
  printf '<SessionId>5f1c0b3e-1111-4222-8333-944455556666</SessionId><AuthenticationResult>%s</AuthenticationResult>' "$3"
  printf '<UserPrincipalName>alice@corp.example</UserPrincipalName></%s>' "$1"
}
{ octets 0000; xml BeginTwoWayAuthenticationResponse Success true; } | seed provider_answers entra-begin
{ octets 0100; xml EndTwoWayAuthenticationResponse Success challenge; } | seed provider_answers entra-challenge
{ octets 0100; xml EndTwoWayAuthenticationResponse PhoneAppDenied false; } | seed provider_answers entra-denied
{ octets 0200; printf '{"stat":"OK","response":{"result":"allow","status":"allow","status_msg":"Success."}}'; } | seed provider_answers duo-allow
{ octets 0204; printf '{"stat":"FAIL","code":40002,"message":"Invalid request parameters","message_detail":"txid"}'; } | seed provider_answers duo-unknown
{ octets 0300; printf '{"stat":"OK","response":{"result":"auth","devices":[{"device":"DP1","capabilities":["auto","push"]}],"txid":"45f7c92b"}}'; } | seed provider_answers duo-preauth
{ octets 0400; printf '{"factorResult":"SUCCESS"}'; } | seed provider_answers okta-success
{ octets 0601; printf '{"factorResult":"WAITING","_links":{"poll":{"href":"https://a/transactions/p1"}},"_embedded":{"challenge":{"correctAnswer":42}}}'; } | seed provider_answers okta-waiting
{ octets 0700; printf '[{"id":"opf1","factorType":"push","status":"ACTIVE"},{"id":"x","factorType":"sms"}]'; } | seed provider_answers okta-factors
{ octets 0800; printf '{"result":{"status":true,"value":true},"detail":{"challenge_status":"accept"}}'; } | seed provider_answers privacyidea-accept
{ octets 0900; printf '{"result":{"status":true,"value":true,"authentication":"ACCEPT"},"detail":{"message":"matching 1 tokens"}}'; } | seed provider_answers privacyidea-right
{ octets 0a00; printf '{"result":{"status":true,"value":1},"detail":{"transaction_id":"02659936","multi_challenge":[{"client_mode":"poll"}]}}'; } | seed provider_answers privacyidea-triggered
{ octets 0b04; printf '{"result":{"status":false,"error":{"code":904,"message":"ERR904"}}}'; } | seed provider_answers privacyidea-error

# Requests to the simulated clouds, and the scenario file of the documentation.
sed -n '/^```toml$/,/^```$/p' docs/simulate.md | grep -v '^```' | seed simulator_request scenario
printf 'POST\n/tenant/oauth2/token\ncontent-type: application/x-www-form-urlencoded\ngrant_type=client_credentials&client_id=client&resource=resource&client_secret=0123456789abcdef0123456789abcdef' | seed simulator_request entra-token
{ printf 'POST\n/StrongAuthenticationService.svc/Connector/BeginTwoWayAuthentication\ncontent-type: application/xml\n'
  printf '<BeginTwoWayAuthenticationRequest><Version>1.0</Version><UserPrincipalName>a</UserPrincipalName></BeginTwoWayAuthenticationRequest>'; } | seed simulator_request entra-begin
printf 'GET\n/auth/v2/auth_status?txid=1\nauthorization: Basic RElYOmFi\n' | seed simulator_request duo-status
printf 'POST\n/api/v1/users/00u61/factors/opf1/verify\nauthorization: SSWS 0123456789abcdef0123456789abcdef\n{"useNumberMatchingChallenge":true}' | seed simulator_request okta-verify
printf 'POST\n/validate/check\ncontent-type: application/x-www-form-urlencoded\nuser=alice&pass=123456&transaction_id=1' | seed simulator_request privacyidea-check
printf 'POST\n/v1/verifications\ncontent-type: application/json\n{"idempotency_key":"000102030405060708090a0b","application":"VPN","method":"push","mode":"standard","expires_in":54,"server":{"name":"one"},"person":{"user_name":"alice"}}' | seed simulator_request native-ask

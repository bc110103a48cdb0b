"""Names and places for invented people, as people write them in twenty-one languages and twelve scripts.

Common given and family names combined by a number: that a combination is also the name of somebody is chance. Each name
stands beside its Latin spelling, `native:latin`, from which e-mail addresses are made; where women and men of a family
are called differently, as `man/woman:man/woman`. A `_` stands for a space.
"""

# ruff: noqa: RUF001 - letters that resemble Latin ones are what this table is for

from dataclasses import dataclass
from typing import NamedTuple


class Name(NamedTuple):
    native: str
    latin: str


class Place(NamedTuple):
    city: str
    postal_code: str  # each # becomes a digit


@dataclass(frozen=True, kw_only=True, slots=True)
class Locale:
    """How people of one language and country are called and reached."""

    country: str  # ISO 3166-1 alpha-2
    language: str  # BCP 47
    script: str  # ISO 15924
    women: tuple[Name, ...]
    men: tuple[Name, ...]
    families: tuple[tuple[Name, Name], ...]  # a man's form, a woman's form
    places: tuple[Place, ...]
    address: str  # {street} and {number}
    streets: tuple[str, ...]
    phone: str  # each # becomes a digit
    family_first: bool = False
    joined: str = " "  # between the two names


def _names(text: str) -> tuple[Name, ...]:
    return tuple(Name(*entry.replace("_", " ").split(":")) for entry in text.split())


def _families(text: str) -> tuple[tuple[Name, Name], ...]:
    families = []
    for name in _names(text):
        native_man, _, native_woman = name.native.partition("/")
        latin_man, _, latin_woman = name.latin.partition("/")
        families.append((Name(native_man, latin_man), Name(native_woman or native_man, latin_woman or latin_man)))
    return tuple(families)


def _places(text: str) -> tuple[Place, ...]:
    return tuple(Place(*entry.strip().split("|")) for entry in text.split(";"))


def _streets(text: str) -> tuple[str, ...]:
    return tuple(street.strip() for street in text.split(";"))


# Telephone numbers nobody has: those that regulators keep for fiction (NANPA 555-01xx, Ofcom, Bundesnetzagentur, ARCEP,
# PTS), elsewhere the country code and then zeros, which no numbering plan assigns.
LOCALES: tuple[Locale, ...] = (
    Locale(
        country="US",
        language="en-US",
        script="Latn",
        women=_names("Mary:mary Patricia:patricia Linda:linda Denise:denise Aaliyah:aaliyah Grace:grace Zoë:zoe"),
        men=_names("James:james Robert:robert Darnell:darnell Miguel:miguel Wyatt:wyatt Noah:noah Tyrone:tyrone"),
        families=_families(
            "Johnson:johnson Carter:carter O'Neill:oneill Hernández:hernandez Reed:reed Brooks:brooks Novak:novak"
        ),
        places=_places("Columbus, OH|432##; Portland, OR|972##; Austin, TX|787##; Buffalo, NY|142##"),
        address="{number} {street}",
        streets=_streets("Maple Avenue; Oak Street; Cedar Lane; Washington Boulevard; 5th Street"),
        phone="(614) 555-01##",
    ),
    Locale(
        country="US",
        language="es-US",
        script="Latn",
        women=_names("Guadalupe:guadalupe Ximena:ximena Inés:ines Sofía:sofia Belén:belen"),
        men=_names("José:jose Ángel:angel Raúl:raul Iván:ivan Joaquín:joaquin"),
        families=_families("Núñez:nunez Muñoz:munoz García:garcia Peña:pena Ibáñez:ibanez Zúñiga:zuniga"),
        places=_places("San José, CA|951##; El Paso, TX|799##; Tucson, AZ|857##"),
        address="{number} {street}",
        streets=_streets("Mission Street; Alameda Avenue; San Pedro Drive; Mesa Street"),
        phone="+1 408 555 01##",
    ),
    Locale(
        country="GB",
        language="en-GB",
        script="Latn",
        women=_names("Olivia:olivia Siân:sian Niamh:niamh Priya:priya Eleri:eleri Morag:morag Charlotte:charlotte"),
        men=_names("Oliver:oliver Rhys:rhys Hamish:hamish Imran:imran Alasdair:alasdair Harry:harry George:george"),
        families=_families(
            "Smith:smith Jones:jones MacLeod:macleod Ó_Briain:obriain Patel:patel Llewellyn:llewellyn Begum:begum"
        ),
        places=_places("London|SE# #XY; Leeds|LS# #XY; Cardiff|CF1# #XY; Inverness|IV# #XY"),
        address="{number} {street}",
        streets=_streets("High Street; Station Road; Church Lane; Mill Lane; Queen Street"),
        phone="+44 7700 900###",
    ),
    Locale(
        country="DE",
        language="de",
        script="Latn",
        women=_names(
            "Käthe:kaethe Heidemarie:heidemarie Anneliese:anneliese Şeyma:seyma Bärbel:baerbel Ute:ute Lena:lena"
        ),
        men=_names("Jürgen:juergen Günther:guenther Björn:bjoern Emre:emre Lukas:lukas Jörg:joerg Matthäus:matthaeus"),
        families=_families(
            "Müller:mueller Weiß:weiss Schröder:schroeder Größmann:groessmann Yılmaz:yilmaz Krüger:krueger"
        ),
        places=_places("Köln|506##; München|803##; Görlitz|028##; Würzburg|970##; Berlin|109##"),
        address="{street} {number}",
        streets=_streets("Hauptstraße; Bahnhofstraße; Am Mühlgraben; Goethestraße; Lindenallee"),
        phone="+49 30 23125 ###",
    ),
    Locale(
        country="FR",
        language="fr",
        script="Latn",
        women=_names("Chloé:chloe Anaïs:anais Hélène:helene Françoise:francoise Maëlle:maelle Zaïnab:zainab"),
        men=_names("François:francois Jérôme:jerome Loïc:loic Étienne:etienne Noël:noel Karim:karim"),
        families=_families(
            "Lefèvre:lefevre Bérenger:berenger D'Aubigné:daubigne Çelik:celik Garçon:garcon Le_Goff:legoff"
        ),
        places=_places("Orléans|450##; Nîmes|300##; Besançon|250##; Saint-Étienne|420##"),
        address="{number} {street}",
        streets=_streets("rue de l'Église; avenue de la République; place du Marché; rue Molière"),
        phone="+33 6 39 98 ## ##",
    ),
    Locale(
        country="SE",
        language="sv",
        script="Latn",
        women=_names("Åsa:asa Märta:marta Elin:elin Frøya:froya Åse:ase Saga:saga"),
        men=_names("Göran:goran Åke:ake Björn:bjorn Håkan:hakan Sören:soren Nils:nils"),
        families=_families("Sjöberg:sjoberg Öberg:oberg Åkesson:akesson Lindström:lindstrom Nyström:nystrom"),
        places=_places("Malmö|21# ##; Göteborg|41# ##; Östersund|83# ##; Luleå|97# ##"),
        address="{street} {number}",
        streets=_streets("Storgatan; Kungsgatan; Björkvägen; Ängsvägen"),
        phone="+46 8 465 004 ##",
    ),
    Locale(
        country="PL",
        language="pl",
        script="Latn",
        women=_names("Małgorzata:malgorzata Żaneta:zaneta Łucja:lucja Agnieszka:agnieszka Grażyna:grazyna"),
        men=_names("Łukasz:lukasz Paweł:pawel Michał:michal Sławomir:slawomir Józef:jozef"),
        families=_families(
            "Wiśniewski/Wiśniewska:wisniewski/wisniewska Dąbrowski/Dąbrowska:dabrowski/dabrowska "
            "Wójcik:wojcik Śliwa:sliwa Żak:zak"
        ),
        places=_places("Łódź|90-###; Kraków|30-###; Gdańsk|80-###; Poznań|60-###"),
        address="ul. {street} {number}",
        streets=_streets("Długa; Kościuszki; Świętojańska; Słowackiego"),
        phone="+48 000 ### ###",
    ),
    Locale(
        country="TR",
        language="tr",
        script="Latn",
        women=_names("Ayşe:ayse Çiğdem:cigdem Gülşen:gulsen Işıl:isil Özlem:ozlem"),
        men=_names("Çağrı:cagri İsmail:ismail Oğuz:oguz Şükrü:sukru Ümit:umit"),
        families=_families("Yıldırım:yildirim Öztürk:ozturk Şahin:sahin Çetin:cetin Aydoğan:aydogan"),
        places=_places("İstanbul|34###; Eskişehir|26###; Muğla|48###; Şanlıurfa|63###"),
        address="{street} No: {number}",
        streets=_streets("Atatürk Caddesi; Gül Sokak; İnönü Bulvarı; Çınar Sokak"),
        phone="+90 000 ### ## ##",
    ),
    Locale(
        country="VN",
        language="vi",
        script="Latn",
        women=_names("Thị_Hương:thihuong Ngọc_Ánh:ngocanh Thùy_Dương:thuyduong Mỹ_Lệ:myle"),
        men=_names("Văn_Đức:vanduc Quốc_Việt:quocviet Hữu_Phước:huuphuoc Minh_Tuấn:minhtuan"),
        families=_families("Nguyễn:nguyen Trần:tran Lê:le Phạm:pham Đặng:dang Vũ:vu"),
        places=_places("Hà Nội|100###; Đà Nẵng|550###; Cần Thơ|900###"),
        address="{number} {street}",
        streets=_streets("Lê Lợi; Trần Hưng Đạo; Nguyễn Huệ; Hai Bà Trưng"),
        phone="+84 000 ### ####",
        family_first=True,
    ),
    Locale(
        country="GR",
        language="el",
        script="Grek",
        women=_names("Ελένη:eleni Αικατερίνη:aikaterini Σοφία:sofia Δήμητρα:dimitra Χρυσάνθη:chrysanthi"),
        men=_names("Γεώργιος:georgios Κωνσταντίνος:konstantinos Νικόλαος:nikolaos Αχιλλέας:achilleas Σπύρος:spyros"),
        families=_families(
            "Παπαδόπουλος/Παπαδοπούλου:papadopoulos/papadopoulou "
            "Οικονόμου:oikonomou Αγγελίδης/Αγγελίδου:angelidis/angelidou "
            "Βασιλείου:vasileiou Καραγιάννης/Καραγιάννη:karagiannis/karagianni"
        ),
        places=_places("Αθήνα|10# ##; Θεσσαλονίκη|54# ##; Ηράκλειο|71# ##; Πάτρα|26# ##"),
        address="{street} {number}",
        streets=_streets("Οδός Ερμού; Λεωφόρος Αλεξάνδρας; Οδός Αγίου Δημητρίου; Οδός Πανεπιστημίου"),
        phone="+30 000 ### ####",
    ),
    Locale(
        country="UA",
        language="uk",
        script="Cyrl",
        women=_names("Оксана:oksana Соломія:solomiia Наталія:nataliia Ґалина:galyna Юлія:yuliia"),
        men=_names("Тарас:taras Андрій:andrii Богдан:bohdan Сергій:serhii Євген:yevhen"),
        families=_families(
            "Шевченко:shevchenko Коваленко:kovalenko Бондаренко:bondarenko "
            "Левицький/Левицька:levytskyi/levytska Мельник:melnyk"
        ),
        places=_places("Київ|01###; Львів|79###; Харків|61###; Одеса|65###"),
        address="{street}, {number}",
        streets=_streets("вулиця Хрещатик; вулиця Городоцька; проспект Свободи; вулиця Садова"),
        phone="+380 00 0## ## ##",
    ),
    Locale(
        country="BG",
        language="bg",
        script="Cyrl",
        women=_names("Цветелина:tsvetelina Десислава:desislava Йорданка:yordanka Мария:mariya"),
        men=_names("Георги:georgi Димитър:dimitar Стоян:stoyan Борислав:borislav"),
        families=_families(
            "Иванов/Иванова:ivanov/ivanova Петров/Петрова:petrov/petrova "
            "Стоянов/Стоянова:stoyanov/stoyanova Кръстев/Кръстева:krastev/krasteva"
        ),
        places=_places("София|1###; Пловдив|4###; Варна|9###"),
        address="{street} {number}",
        streets=_streets("ул. Шипка; бул. Витоша; ул. Христо Ботев; ул. Роза"),
        phone="+359 00 000 ####",
    ),
    Locale(
        country="EG",
        language="ar",
        script="Arab",
        women=_names("فاطمة:fatima نور:nour ياسمين:yasmin مريم:mariam هبة:heba"),
        men=_names("محمد:mohamed عمر:omar يوسف:youssef كريم:karim طارق:tarek"),
        families=_families("حسن:hassan المصري:elmasry عبد_الله:abdallah السيد:elsayed منصور:mansour"),
        places=_places("القاهرة|11###; الإسكندرية|21###; أسوان|81###"),
        address="{number} {street}",
        streets=_streets("شارع التحرير; شارع النيل; شارع الجمهورية; شارع المحطة"),
        phone="+20 00 000# ####",
    ),
    Locale(
        country="IL",
        language="he",
        script="Hebr",
        women=_names("נועה:noa תמר:tamar שירה:shira יעל:yael אביגיל:avigail"),
        men=_names("איתי:itai דוד:david אורי:uri משה:moshe נדב:nadav"),
        families=_families("כהן:cohen לוי:levi מזרחי:mizrahi פרידמן:friedman ביטון:biton"),
        places=_places("תל אביב|61#####; חיפה|31#####; ירושלים|91#####"),
        address="{street} {number}",
        streets=_streets("רחוב הרצל; שדרות רוטשילד; רחוב יפו; רחוב הנביאים"),
        phone="+972 00 000 ####",
    ),
    Locale(
        country="IN",
        language="hi",
        script="Deva",
        women=_names("प्रिया:priya अंजलि:anjali सुनीता:sunita काव्या:kavya लक्ष्मी:lakshmi"),
        men=_names("राहुल:rahul अर्जुन:arjun विजय:vijay संजय:sanjay कृष्ण:krishna"),
        families=_families("शर्मा:sharma वर्मा:verma मिश्रा:mishra चौधरी:chaudhary त्रिपाठी:tripathi"),
        places=_places("दिल्ली|110###; लखनऊ|226###; जयपुर|302###; वाराणसी|221###"),
        address="{number}, {street}",
        streets=_streets("महात्मा गांधी मार्ग; स्टेशन रोड; नेहरू नगर; शास्त्री मार्ग"),
        phone="+91 00000 #####",
    ),
    Locale(
        country="IN",
        language="ta",
        script="Taml",
        women=_names("மீனாட்சி:meenakshi கவிதா:kavitha செல்வி:selvi பிரியா:priya"),
        men=_names("முருகன்:murugan கார்த்திக்:karthik செந்தில்:senthil அருண்:arun"),
        families=_families("சுப்ரமணியன்:subramanian ராஜேந்திரன்:rajendran வேலு:velu பாண்டியன்:pandian"),
        places=_places("சென்னை|600###; மதுரை|625###; கோயம்புத்தூர்|641###"),
        address="{number}, {street}",
        streets=_streets("அண்ணா சாலை; காந்தி தெரு; பாரதியார் சாலை; கோவில் தெரு"),
        phone="+91 00001 #####",
    ),
    Locale(
        country="TH",
        language="th",
        script="Thai",
        women=_names("สมหญิง:somying กัญญา:kanya พิมพ์ใจ:phimchai วันเพ็ญ:wanphen"),
        men=_names("สมชาย:somchai ธนากร:thanakorn ประเสริฐ:prasert วิชัย:wichai"),
        families=_families("ศรีสุข:srisuk ทองดี:thongdi แสงจันทร์:saengchan รัตนกุล:rattanakul"),
        places=_places("กรุงเทพมหานคร|10###; เชียงใหม่|50###; ขอนแก่น|40###"),
        address="{number} {street}",
        streets=_streets("ถนนสุขุมวิท; ถนนพหลโยธิน; ถนนราชดำเนิน; ซอยร่มเย็น"),
        phone="+66 00 000 ####",
    ),
    Locale(
        country="CN",
        language="zh-Hans",
        script="Hans",
        women=_names("秀英:xiuying 丽娜:lina 雨桐:yutong 静:jing 婉𬘓:wanting"),
        men=_names("伟:wei 建国:jianguo 浩然:haoran 志强:zhiqiang 明:ming"),
        families=_families("王:wang 李:li 张:zhang 刘:liu 欧阳:ouyang 陈:chen"),
        places=_places("北京市|100###; 上海市|200###; 成都市|610###; 西安市|710###"),
        address="{street}{number}号",
        streets=_streets("中山路; 人民路; 解放大街; 建设南路"),
        phone="+86 000 #### ####",
        family_first=True,
        joined="",
    ),
    Locale(
        country="TW",
        language="zh-Hant",
        script="Hant",
        women=_names("淑芬:shufen 雅婷:yating 怡君:yichun 美玲:meiling"),
        men=_names("志明:chihming 俊傑:chunchieh 家豪:chiahao 冠宇:kuanyu"),
        families=_families("陳:chen 林:lin 黃:huang 張:chang 吳:wu"),
        places=_places("臺北市|10###; 臺中市|40###; 高雄市|80###"),
        address="{street}{number}號",
        streets=_streets("中正路; 民生東路; 復興南路; 和平西路"),
        phone="+886 000 ### ###",
        family_first=True,
        joined="",
    ),
    Locale(
        country="JP",
        language="ja",
        script="Jpan",
        women=_names("さくら:sakura 美咲:misaki ひなた:hinata 陽子:yoko エミ:emi"),
        men=_names("太郎:taro 健一:kenichi ケンジ:kenji 翔太:shota 大輔:daisuke"),
        families=_families("佐藤:sato 鈴木:suzuki 髙橋:takahashi 渡邉:watanabe 山本:yamamoto"),
        places=_places("東京都新宿区|160-####; 大阪市北区|530-####; 札幌市中央区|060-####"),
        address="{street}{number}番地",
        streets=_streets("桜町; 本町; 緑ヶ丘; 東山"),
        phone="+81 00 0000 ####",
        family_first=True,
    ),
    Locale(
        country="KR",
        language="ko",
        script="Kore",
        women=_names("지우:jiwoo 서연:seoyeon 민지:minji 은영:eunyoung 하나:hana"),
        men=_names("민준:minjun 성호:sungho 지훈:jihoon 영수:youngsoo 도윤:doyun"),
        families=_families("김:kim 이:lee 박:park 최:choi 정:jung"),
        places=_places("서울특별시|04###; 부산광역시|48###; 대구광역시|41###"),
        address="{street} {number}",
        streets=_streets("세종대로; 강남대로; 해운대로; 중앙로"),
        phone="+82 00 0000 ####",
        family_first=True,
        joined="",
    ),
)

"""Given names that are one name: spellings of it, and what it is called in another language or for short.

Our own short tables of frequent names; spellings that only sound alike are the business of `spelling`.
"""

from typing import Final

_SPELLINGS: Final = """
    muhammad mohammed mohamed mohammad muhammed mohamad muhamad mohd mohmad mohammod
    ahmed ahmad ahmet akhmed
    mahmoud mahmud mehmood mahmood makhmud
    hussein hussain husayn hossein hosein husain hussin hossain huseyin hussien
    hassan hasan hassen hasen
    yusuf youssef yousef yusef youcef yousuf yusif
    ibrahim ebrahim brahim ibragim
    ismail ismael esmail ishmael esmaeil
    isa issa eissa essa
    musa moussa mousa mussa
    sulayman suleiman soleiman sulaiman soliman suleyman suliman
    yaqub yakub yacoub yaqoob
    ishaq ishak ishaak
    dawud daoud dawood davud
    yahya yehya yehia
    omar umar omer oumar
    othman uthman osman usman ousmane
    khalid khaled halid
    jafar jaafar djafar gafar cafer
    abdullah abdallah abdulla abdoulaye abdollah abdellah
    qasim qasem kasim kassem qassem ghasem ghasim gasem
    said saeed sayid saed saeid
    rashid rasheed rachid
    karim kareem kerim
    umm oum um
    abu abou abi aboo
    fatima fatemeh fatma fatimah fatoumata
    aisha aysha ayesha aicha ayse
    mariam maryam miriam meryem
    zaynab zainab zeinab zeynep
    alexander aleksandr alexandre oleksandr aleksander aleksandar aliaksandr olexander
    alexei aleksei alexey aleksey oleksiy
    andrei andrey andrii andriy andrew
    dmitri dmitry dimitri dmitrii dmitriy dmytro dmytriy dzmitry
    evgeny yevgeny evgeni yevgeni evgenii yevhen eugene
    georgi georgy georgiy georgii
    grigory grigori grigoriy hryhorii
    igor ihor
    elena helena yelena olena
    ekaterina yekaterina katerina kateryna
    mikhail mihail mykhailo michail
    nikolai nikolay mykola nicolai
    olga olha
    oleg oleh
    pavel pavlo
    pyotr petr petro piotr
    sergei sergey serhiy sergiy serhii
    sofia sofiya sophia
    vasily vasili vasyl vassily vasiliy
    viktor victor
    vladimir volodymyr wladimir
    vyacheslav viacheslav vjaceslav
    yaroslav jaroslav iaroslav
    yuri yury iouri yuriy
    natalia natalya nataliya
    tatiana tatyana tetiana
    irina iryna
    yulia iuliia julia
    stephen steven
    catherine katherine kathryn
    elizabeth elisabeth
    abd abdul abdel abdal abdu abdur abdoul abdol abdil
    hamid hameed hamed
    hamad hammad
    hamdan hemdan
    hamza hamzah hamze hamsa
    jamal gamal djamal cemal jemal
    jamil djamil jameel cemil
    kamal kemal kamel
    kamil
    salim salem selim saleem
    salam
    salman selman
    saleh salih salah saalih
    salma
    samir sameer
    amir ameer emir
    amin ameen emin
    amina aminah
    abbas abas
    rahim raheem
    rahman rehman rachman
    nasir nasser naser nasr
    nasim naseem
    mansour mansur mansoor
    mustafa mostafa moustafa moustapha
    murad mourad morad
    tariq tarek tarik tareq
    faisal faysal feisal
    fahd fahad
    bilal belal
    hilal
    bashir basheer bachir
    bakr bakir baker
    badr bader
    khalil khaleel halil
    jalil jaleel djalil
    jaber jabir gaber
    hakim hakeem
    habib habeeb
    haidar haydar haider hayder
    idris idriss edris
    imran omran emran
    iqbal eqbal
    latif lateef
    majid majeed magid
    malik maalik
    marwan marouane
    munir mounir moneer
    nabil nabeel
    naji nagi
    najib nadjib nageeb
    nur noor nour
    qadir kader qader kadir gader
    ramadan ramazan ramzan
    reza rida ridha
    sabri sabry
    sadiq sadik sadeq
    shahid shaheed
    sharif shareef cherif sherif
    tahir taher
    talib taleb
    walid waleed oualid
    yasin yassin yaseen yassine
    yasir yaser yasser
    younis younes yunus yunis younous
    zaki zeki
    zayd zaid zayed
    zahra zohra
    layla leila laila leyla
    aziz azeez
    anwar anouar enver
    ayman aymen
    adel adil
    akram ekrem
    ali aly
    asad assad
    asif asef
    farid fareed ferid
    farouk faruq farooq faruk
    fuad fouad
    ghassan gassan
    ivan iwan
    ivanov iwanow
    petrov petroff
    carlos
    juan
    jose
    luis
    miguel
    maria
    mario
    marco
    marcos
    manuel
    pedro
    pablo
    antonio
    garcia
    gonzalez gonzales
    rodriguez rodrigues
    hernandez hernandes
    martinez
    lopez lopes
    perez peres
    sanchez sanches
    ramirez
    ramos
    torres
    wang wong
    zhang chang cheung
    chen chan
    zhou chou chow
    xu hsu
    xie hsieh tse
    cai tsai
    kim gim
    park bak pak
    choi choe
    lim rim
    jung jong chong jeong chung
    un eun
    yoon yun
    yoo yu ryu
    kyong kyung gyeong
    hyon hyun hyeon
    song sung seong
    chol chul cheol
    kyu gyu
    cho jo
    chun jun joon
    kang gang
    ko go koh
    ku gu koo goo
    pae bae
    tae dae
    chon jon jeon
    chi ji jee
    su soo
"""
_SAME_NAME: Final = """
    muhammad mohammed mohamed mehmet mahomet mamadou
    ahmed ahmad ahmadou amadou
    joseph jose josef jozef giuseppe iosif osip josep yusuf youssef joe
    abraham ibrahim avraham abram
    musa moussa moses moshe
    solomon suleiman sulayman
    jacob yaakov jakob iakov jakub james yaqub giacomo
    david dawud daoud davide dave
    john juan johann johannes hans jean giovanni ivan jan ioannis johnny jon joao sean ian
    mariam maryam mary maria marie marija
    alexander aleksandr alejandro alessandro sasha alex alec alexandre
    alexei aleksei alexis alyosha
    andrew andrei andre andreas andres andrea andrzej ondrej
    anthony antonio anton antoine tony antony antonin toni
    benjamin ben benny
    charles carlos carl karl charlie carlo karel chuck
    christopher chris christophe cristobal kristof christoph
    daniel dan danny daniil danil
    dmitri dmitry dmytro dima demetrius dimitrios
    edward eduard eduardo edouard ed eddie ted edoardo
    elizabeth elisabeth isabel liz beth betty elizaveta yelizaveta lisa
    emmanuel manuel emanuel manny manolo
    evgeny yevgeny eugene eugenio
    francis francisco francesco francois frank franz paco frantisek
    frederick federico fred friedrich frederic fyodor fedor
    george jorge georges georg giorgio georgi georgy yuri yury georgios
    gregory grigory grigori gregor gregorio greg
    gerard gerardo gerhard gerald gerry
    helen elena helena yelena olena helene
    henry enrique heinrich henri henrik enrico harry
    james jaime jim jimmy santiago diego jacques jaume jamie
    catherine katherine ekaterina yekaterina katya kate katarina catalina kathryn caterina
    lawrence lorenzo laurent larry laurence lavrentiy
    leon leo lev leonardo
    louis luis ludwig luigi lewis
    luke lucas luca lukas
    margaret margarita maggie marguerite peggy
    mark marc marco marcos marcus markus
    matthew matthias matteo mateo mathieu matvei matt mattias
    michael mikhail miguel michel mike michele misha mihai michal
    nicholas nikolai nikolay nicolas nick nicola mykola nikolaos klaus kolya
    patrick patricio pat patrizio
    paul pablo pavel paolo paulo pavlo
    peter pedro piotr pyotr petr pierre pietro pete petar petros
    philip felipe philippe filip filippo phil
    rafael raphael raffaele
    raymond ramon raimundo ray
    richard ricardo riccardo rick dick
    robert roberto bob rob bobby
    samuel sam shmuel
    sergei sergey serge sergio
    simon shimon simone semyon
    stephen steven stefan stefano esteban etienne stephane steve stepan istvan
    susan susana suzanne susanna sue
    theodore teodoro theo teodor
    thomas tomas tommaso tom tommy foma
    timothy tim timofey timoteo
    victor viktor vittorio
    vincent vicente vincenzo vince
    vladimir volodymyr vova vladimiro
    william guillermo wilhelm guillaume bill willem guglielmo will billy liam
    zakaria zachary zakariya zechariah zakhar
    basil vasily vasili basilio
    natalia natalya natasha nathalie
    anna ana hanna anne ann hannah anya
    julia yulia giulia julie
"""


def _index(table: str) -> dict[str, frozenset[int]]:
    groups: dict[str, set[int]] = {}
    for number, line in enumerate(table.strip().splitlines()):
        for name in line.split():
            groups.setdefault(name, set()).add(number)
    return {name: frozenset(numbers) for name, numbers in groups.items()}


SPELLINGS: Final[dict[str, frozenset[int]]] = _index(_SPELLINGS)
"""Token to its groups of spellings of one name."""

SAME_NAME: Final[dict[str, frozenset[int]]] = _index(_SAME_NAME)
"""Token to its groups of one name in several languages and short forms."""


def variants_of(token: str) -> set[str]:
    """The other tokens that are the same name."""
    found: set[str] = set()
    for index, table in ((SPELLINGS, _SPELLING_GROUPS), (SAME_NAME, _SAME_NAME_GROUPS)):
        for group in index.get(token, ()):
            found.update(table[group])
    return found - {token}


_SPELLING_GROUPS: Final = tuple(tuple(line.split()) for line in _SPELLINGS.strip().splitlines())
_SAME_NAME_GROUPS: Final = tuple(tuple(line.split()) for line in _SAME_NAME.strip().splitlines())
